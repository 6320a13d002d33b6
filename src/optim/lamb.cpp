#include <cmath>
#include <span>

#include "mpibert/base/error.h"
#include "optim/make.h"

namespace mpibert {

namespace {

// Directions of all owned ranges; norms of weights and directions over all ranks in one exchange; then the ratios, the same bits on
// every rank; then the update.
class Lamb final : public Optimizer {
 public:
  Lamb(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena, std::vector<Piece> pieces)
      : Optimizer(options, backend, arena, std::move(pieces)),
        adapts_all_(options.kind == "lamb" || options.use_nvlamb),
        segments_(arena.segments()),
        direction_blocks_(backend, segments_, pieces_),
        master_blocks_(backend, segments_, master_ ? pieces_ : in_place(pieces_)) {
    ratios_memory_ = backend.allocate(segments_.size() * sizeof(float));
    ratios_ = ratios_memory_.view(DType::kFloat32, {static_cast<int64_t>(segments_.size())});
  }

  void step(const Tensor& state, const Tensor& gradient, const SumOverRanks& sum) override {
    std::vector<LambDirection> directions;
    for (const OwnedRange& range : ranges_)
      directions.push_back({.gradient = gradient.elements(range.local.begin, range.local.end),
                            .state = state,
                            .beta1 = static_cast<float>(options_.beta1),
                            .beta2 = static_cast<float>(options_.beta2),
                            .epsilon = static_cast<float>(options_.epsilon),
                            .weight_decay = range.weight_decay,
                            .exp_avg = exp_avg_.elements(range.local.begin, range.local.end),
                            .exp_avg_sq = exp_avg_sq_.elements(range.local.begin, range.local.end),
                            .master = master(range)});
    backend_.lamb_direction(directions);
    find_ratios(gradient, sum);
    std::vector<LambApply> updates;
    for (const OwnedRange& range : ranges_)
      updates.push_back({.direction = gradient.elements(range.local.begin, range.local.end),
                         .state = state,
                         .trust_ratio = ratios_.elements(static_cast<int64_t>(range.segment), static_cast<int64_t>(range.segment) + 1),
                         .master = master(range),
                         .value = value(range)});
    backend_.lamb_apply(updates);
  }

 private:
  // Where the values are the masters they are not compact: a piece lies where it lies in the model.
  static std::vector<Piece> in_place(std::vector<Piece> pieces) {
    for (Piece& p : pieces) p.local = p.begin;
    return pieces;
  }

  void find_ratios(const Tensor& direction, const SumOverRanks& sum) {
    const auto count = static_cast<size_t>(direction_blocks_.count());
    std::vector<double> cells(2 * count);
    const std::span<double> of_masters = std::span(cells).first(count), of_directions = std::span(cells).last(count);
    master_blocks_.own_cells(backend_, master_ ? master_ : arena_.values(), of_masters);
    direction_blocks_.own_cells(backend_, direction, of_directions);
    if (sum) sum(cells);
    const std::vector<double> masters = master_blocks_.per_parameter(of_masters), directions = direction_blocks_.per_parameter(of_directions);
    std::vector<float> ratios(segments_.size(), 1.0f);
    for (size_t s = 0; s < ratios.size(); ++s) {
      const bool adapts = adapts_all_ || (segments_[s].decay && options_.weight_decay != 0);
      if (adapts && masters[s] > 0 && directions[s] > 0) ratios[s] = static_cast<float>(std::sqrt(masters[s]) / std::sqrt(directions[s]));
    }
    backend_.upload(host_tensor(std::span(ratios), {static_cast<int64_t>(ratios.size())}), ratios_);
  }

  bool adapts_all_;
  std::vector<Segment> segments_;
  NormBlocks direction_blocks_, master_blocks_;
  Buffer ratios_memory_;
  Tensor ratios_;
};

}  // namespace

std::unique_ptr<Optimizer> make_lamb(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena, std::vector<Piece> pieces) {
  return std::make_unique<Lamb>(options, backend, arena, std::move(pieces));
}

}  // namespace mpibert
