#include "ops/step_decision.h"

#include <numeric>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"

namespace mpibert::cpu {

void step_decision(const StepDecision& op) {
  const auto* squares = data<double>(op.squares);
  decide_step(*data<StepState>(op.state), std::accumulate(squares, squares + op.squares.size(), 0.0), op.rule);
}

}  // namespace mpibert::cpu
