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
    const auto count = static_cast<int64_t>(segments_.size());
    cells_ = allocate(cells_memory_, DType::kFloat64, {2 * direction_blocks_.count()});
    ratios_ = allocate(ratios_memory_, DType::kFloat32, {count});
    std::vector<uint8_t> adapts;
    for (const Segment& s : segments_) adapts.push_back(adapts_all_ || (s.decay && options_.weight_decay != 0));
    adapts_ = allocate(adapts_memory_, DType::kUInt8, {count});
    backend_.upload(host_tensor(std::span(adapts), {count}), adapts_);
    std::vector<int64_t> first_cells = direction_blocks_.first_cells();
    first_cells_ = allocate(first_cells_memory_, DType::kInt64, {count + 1});
    backend_.upload(host_tensor(std::span(first_cells), {count + 1}), first_cells_);
  }

  void step(const Tensor& state, const Tensor& gradient, const SumOverRanks& sum) override {
    std::vector<LambDirection> directions;
    for (const OwnedRange& range : ranges_)
      directions.push_back({.gradient = gradient.elements(range.local.begin, range.local.end),
                            .state = state,
                            .beta1 = options_.beta1,
                            .beta2 = options_.beta2,
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
                         .rate = range.rate,
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

  Tensor allocate(Buffer& memory, DType dtype, const Shape& shape) {
    memory = backend_.allocate(static_cast<size_t>(shape.size()) * bytes_of(dtype));
    return memory.view(dtype, shape);
  }

  void find_ratios(const Tensor& direction, const SumOverRanks& sum) {
    const int64_t count = direction_blocks_.count();
    const Tensor of_masters = cells_.elements(0, count), of_directions = cells_.elements(count, 2 * count);
    master_blocks_.squares(backend_, master_ ? master_ : arena_.values(), of_masters);
    direction_blocks_.squares(backend_, direction, of_directions);
    if (sum) sum(cells_);
    backend_.trust_ratios(
        {.weights = of_masters, .directions = of_directions, .first_cells = first_cells_, .adapts = adapts_, .ratios = ratios_});
  }

  bool adapts_all_;
  std::vector<Segment> segments_;
  NormBlocks direction_blocks_, master_blocks_;
  Buffer cells_memory_, ratios_memory_, adapts_memory_, first_cells_memory_;
  Tensor cells_, ratios_, adapts_, first_cells_;  // cells_: of the masters, then of the directions
};

}  // namespace

std::unique_ptr<Optimizer> make_lamb(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena,
                                     std::vector<Piece> pieces) {
  return std::make_unique<Lamb>(options, backend, arena, std::move(pieces));
}

}  // namespace mpibert
