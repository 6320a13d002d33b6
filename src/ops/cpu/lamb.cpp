#include <cmath>
#include <numeric>

#include "ops/cpu/convert.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {

void lamb_direction(const LambDirection& op) {
  const StepState& state = *data<StepState>(op.state);
  if (!state.applied) return;
  const float scale = state.gradient_scale, correction1 = state.bias_correction1, root2 = std::sqrt(state.bias_correction2);
  const float one_minus_beta1 = static_cast<float>(1 - op.beta1), one_minus_beta2 = static_cast<float>(1 - op.beta2);
  const float beta2 = static_cast<float>(op.beta2), epsilon = op.epsilon, weight_decay = op.weight_decay;
  float *gradient = data<float>(op.gradient), *exp_avg = data<float>(op.exp_avg), *exp_avg_sq = data<float>(op.exp_avg_sq);
  const float* master = data<float>(op.master);
  parallel_elements(op.gradient.size(), [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float g = gradient[i] * scale;
      const float m = exp_avg[i] + one_minus_beta1 * (g - exp_avg[i]);
      const float v = beta2 * exp_avg_sq[i] + one_minus_beta2 * g * g;
      exp_avg[i] = m;
      exp_avg_sq[i] = v;
      gradient[i] = m / correction1 / (std::sqrt(v) / root2 + epsilon) + weight_decay * master[i];
    }
  });
}

namespace {

template <class T>
void apply(const LambApply& op) {
  const float step_size = data<StepState>(op.state)->learning_rate * op.rate * *data<float>(op.trust_ratio);
  const float* direction = data<float>(op.direction);
  float* master = data<float>(op.master);
  T* value = data<T>(op.value);
  const bool separate = op.value.data() != op.master.data();
  parallel_elements(op.value.size(), [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float w = master[i] - step_size * direction[i];
      master[i] = w;
    }
    if (separate) convert(master + begin, value + begin, end - begin);
  });
}

}  // namespace

void trust_ratios(const TrustRatios& op) {
  const auto *weights = data<double>(op.weights), *directions = data<double>(op.directions);
  const auto* first = data<int64_t>(op.first_cells);
  for (int64_t i = 0; i < op.ratios.size(); ++i) {
    const double of_weights = std::accumulate(weights + first[i], weights + first[i + 1], 0.0);
    const double of_directions = std::accumulate(directions + first[i], directions + first[i + 1], 0.0);
    const bool adapts = data<uint8_t>(op.adapts)[i] && of_weights > 0 && of_directions > 0;
    data<float>(op.ratios)[i] = adapts ? static_cast<float>(std::sqrt(of_weights) / std::sqrt(of_directions)) : 1.0f;
  }
}

void lamb_apply(const LambApply& op) {
  if (!data<StepState>(op.state)->applied) return;
  with_element(op.value.dtype(), [&]<class T>(T) { apply<T>(op); });
}

}  // namespace mpibert::cpu
