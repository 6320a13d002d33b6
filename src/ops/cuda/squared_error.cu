#include <cmath>

#include "ops/cuda/device/number.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/step_decision.h"

namespace mpibert::cuda {
namespace {

constexpr int kThreads = 256;

// One number a row, some thousand rows at most: one block. `state` is null where there is no backward.
template <class T>
__global__ void loss_and_gradient(T* logits, const float* labels, int64_t rows, const StepState* state, int term, float* loss_sum) {
  __shared__ double scratch[kWarp];
  const float scale = state ? 2 * scale_of(*state, term) : 0.0f;
  double sum = 0;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    const float label = labels[row], difference = std::isnan(label) ? 0.0f : load(logits + row) - label;
    sum += static_cast<double>(difference) * static_cast<double>(difference);
    if (state) store(logits + row, difference * scale);
  }
  sum = block_reduce<Sum>(sum, scratch);
  if (threadIdx.x == 0) *loss_sum = static_cast<float>(static_cast<double>(*loss_sum) + sum);
}

}  // namespace

void squared_error(const SquaredError& op, const Context& context) {
  const StepState* state = op.backward ? data<const StepState>(op.state) : nullptr;
  with_element(op.logits.dtype(), [&]<class T>(T) {
    launch({.block = kThreads}, context.stream, loss_and_gradient<T>, data<T>(op.logits), data<const float>(op.labels),
           op.logits.shape()[0], state, op.term, data<float>(op.loss_sum));
  });
}

}  // namespace mpibert::cuda
