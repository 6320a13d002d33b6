#include <cmath>

#include "ops/cpu/convert.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

// The scalars of one step, worked out in double and rounded once. The new weight is
//   keep * w - step_size * m / (sqrt(v) / root2 + epsilon)           kAdam, kAdamW
//   keep * (w - step_size * m / (sqrt(v) + epsilon))                 kAdamWHf
// with m and v as stored, not corrected. kAdam adds decay * w to the gradient and keeps all of w.
struct Scalars {
  explicit Scalars(const AdamStep& op) {
    const StepState& state = *data<StepState>(op.state);
    const double rate = static_cast<double>(state.learning_rate) * op.rate,
                 corrected_root = std::sqrt(static_cast<double>(state.bias_correction2));
    const bool hf = op.kind == AdamKind::kAdamWHf;
    gradient_scale = state.gradient_scale;
    decay = op.weight_decay;
    keep = static_cast<float>(op.kind == AdamKind::kAdam ? 1 : 1 - rate * op.weight_decay);
    beta2 = static_cast<float>(op.beta2);
    one_minus_beta1 = static_cast<float>(1 - op.beta1);
    one_minus_beta2 = static_cast<float>(1 - op.beta2);
    step_size = static_cast<float>(rate * (hf ? corrected_root : 1) / state.bias_correction1);
    root2 = static_cast<float>(hf ? 1 : corrected_root);
    epsilon = op.epsilon;
  }
  float gradient_scale, decay, keep, beta2, one_minus_beta1, one_minus_beta2, step_size, root2, epsilon;
};

// The order of the operations is PyTorch's, so that the weights agree to the last few bits.
template <AdamKind kind, class T>
void update(const AdamStep& op) {
  const Scalars s(op);
  const float* gradient = data<float>(op.gradient);
  float *exp_avg = data<float>(op.exp_avg), *exp_avg_sq = data<float>(op.exp_avg_sq), *master = data<float>(op.master);
  T* value = data<T>(op.value);
  const bool separate = op.value.data() != op.master.data();
  parallel_elements(op.value.size(), [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      float w = master[i], g = gradient[i] * s.gradient_scale;
      if constexpr (kind == AdamKind::kAdam) g += s.decay * w;
      if constexpr (kind == AdamKind::kAdamW) w *= s.keep;
      const float m = exp_avg[i] + s.one_minus_beta1 * (g - exp_avg[i]);
      const float v = s.beta2 * exp_avg_sq[i] + s.one_minus_beta2 * g * g;
      w -= s.step_size * m / (std::sqrt(v) / s.root2 + s.epsilon);
      if constexpr (kind == AdamKind::kAdamWHf) w *= s.keep;
      exp_avg[i] = m;
      exp_avg_sq[i] = v;
      master[i] = w;
    }
    if (separate) convert(master + begin, value + begin, end - begin);
  });
}

}  // namespace

void adam_step(const AdamStep& op) {
  if (!data<StepState>(op.state)->applied) return;
  with_element(op.value.dtype(), [&]<class T>(T) {
    switch (op.kind) {
      case AdamKind::kAdam:
        return update<AdamKind::kAdam, T>(op);
      case AdamKind::kAdamW:
        return update<AdamKind::kAdamW, T>(op);
      case AdamKind::kAdamWHf:
        return update<AdamKind::kAdamWHf, T>(op);
    }
  });
}

}  // namespace mpibert::cpu
