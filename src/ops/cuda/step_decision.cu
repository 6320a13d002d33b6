#include "ops/step_decision.h"

#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

constexpr int kThreads = 1024;

// One block: thousands of numbers.
__global__ void decide(const double* squares, int64_t cells, StepRule rule, StepState* state) {
  __shared__ double scratch[kWarp];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < cells; i += kThreads) sum += squares[i];
  sum = block_reduce<Sum>(sum, scratch);
  if (threadIdx.x == 0) decide_step(*state, sum, rule);
}

}  // namespace

void step_decision(const StepDecision& op, const Context& context) {
  launch({.block = kThreads}, context.stream, decide, data<const double>(op.squares), op.squares.size(), op.rule,
         data<StepState>(op.state));
}

}  // namespace mpibert::cuda
