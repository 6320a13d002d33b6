#include <cmath>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/step_decision.h"

namespace mpibert::cpu {
namespace {

// One number a row, some thousand rows at most: one thread.
template <class T>
void run(const SquaredError& op) {
  T* logits = data<T>(op.logits);
  const float* labels = data<float>(op.labels);
  const float scale = op.backward ? 2 * scale_of(*data<StepState>(op.state), op.term) : 0;
  double sum = 0;
  for (int64_t row = 0; row < op.logits.shape()[0]; ++row) {
    const float difference = std::isnan(labels[row]) ? 0 : to_float(logits[row]) - labels[row];
    sum += static_cast<double>(difference) * static_cast<double>(difference);
    if (op.backward) logits[row] = T(difference * scale);
  }
  float& loss_sum = *data<float>(op.loss_sum);
  loss_sum = static_cast<float>(static_cast<double>(loss_sum) + sum);
}

}  // namespace

void squared_error(const SquaredError& op) {
  with_element(op.logits.dtype(), [&]<class T>(T) { run<T>(op); });
}

}  // namespace mpibert::cpu
