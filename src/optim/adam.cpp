#include "optim/make.h"

namespace mpibert {

namespace {

class Adam final : public Optimizer {
 public:
  Adam(AdamKind kind, const OptimizerOptions& options, Backend& backend, const ParameterArena& arena, std::vector<Piece> pieces)
      : Optimizer(options, backend, arena, std::move(pieces)), kind_(kind) {}

  void step(const Tensor& state, const Tensor& gradient, const SumOverRanks& /*sum*/) override {
    std::vector<AdamStep> steps;
    for (const OwnedRange& range : ranges_)
      steps.push_back({.gradient = gradient.elements(range.local.begin, range.local.end),
                       .state = state,
                       .kind = kind_,
                       .beta1 = options_.beta1,
                       .beta2 = options_.beta2,
                       .epsilon = static_cast<float>(options_.epsilon),
                       .rate = range.rate,
                       .weight_decay = range.weight_decay,
                       .exp_avg = exp_avg_.elements(range.local.begin, range.local.end),
                       .exp_avg_sq = exp_avg_sq_.elements(range.local.begin, range.local.end),
                       .master = master(range),
                       .value = value(range)});
    backend_.adam_step(steps);
  }

 private:
  AdamKind kind_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(AdamKind kind, const OptimizerOptions& options, Backend& backend, const ParameterArena& arena,
                                     std::vector<Piece> pieces) {
  return std::make_unique<Adam>(kind, options, backend, arena, std::move(pieces));
}

}  // namespace mpibert
