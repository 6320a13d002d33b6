// lamb_direction and lamb_apply. The order of the operations is that of ops/cpu/lamb.cpp, and CMakeLists.txt forbids the compiler to
// contract them, so that the weights agree to the bit.

#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

struct Settings {
  float one_minus_beta1, beta2, one_minus_beta2, epsilon, weight_decay;
};

__global__ void direction_of(float* gradient, const StepState* state, Settings s, float* exp_avg, float* exp_avg_sq, const float* master, int64_t n) {
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size < 1) return;
  const float scale = state->gradient_scale, correction1 = state->bias_correction1, root2 = sqrtf(state->bias_correction2);
  Octet gs = load_octet(gradient + at, size), ms = load_octet(exp_avg + at, size), vs = load_octet(exp_avg_sq + at, size);
  const Octet ws = load_octet(master + at, size);
  for (int i = 0; i < kOctet; ++i) {
    const float g = gs[i] * scale;
    const float m = ms[i] + s.one_minus_beta1 * (g - ms[i]);
    const float v = s.beta2 * vs[i] + s.one_minus_beta2 * g * g;
    ms[i] = m;
    vs[i] = v;
    gs[i] = m / correction1 / (sqrtf(v) / root2 + s.epsilon) + s.weight_decay * ws[i];
  }
  store_octet(exp_avg + at, ms, size);
  store_octet(exp_avg_sq + at, vs, size);
  store_octet(gradient + at, gs, size);
}

// `value` is null where it is the master itself.
template <class T>
__global__ void step_along(const float* direction, const StepState* state, const float* trust_ratio, float* master, T* value, int64_t n) {
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size < 1) return;
  const float step_size = state->learning_rate * *trust_ratio;
  const Octet d = load_octet(direction + at, size);
  Octet w = load_octet(master + at, size);
  for (int i = 0; i < kOctet; ++i) w[i] -= step_size * d[i];
  store_octet(master + at, w, size);
  if (value) store_octet(value + at, w, size);
}

}  // namespace

void lamb_direction(const LambDirection& op, const Context& context) {
  const int64_t n = op.gradient.size();
  const Settings settings = {.one_minus_beta1 = static_cast<float>(1 - op.beta1),
                             .beta2 = static_cast<float>(op.beta2),
                             .one_minus_beta2 = static_cast<float>(1 - op.beta2),
                             .epsilon = op.epsilon,
                             .weight_decay = op.weight_decay};
  launch(octet_a_thread(n), context.stream, direction_of, data<float>(op.gradient), data<const StepState>(op.state), settings,
         data<float>(op.exp_avg), data<float>(op.exp_avg_sq), data<const float>(op.master), n);
}

void lamb_apply(const LambApply& op, const Context& context) {
  const int64_t n = op.value.size();
  with_element(op.value.dtype(), [&]<class T>(T) {
    T* value = op.value.data() == op.master.data() ? nullptr : data<T>(op.value);
    launch(octet_a_thread(n), context.stream, step_along<T>, data<const float>(op.direction), data<const StepState>(op.state),
           data<const float>(op.trust_ratio), data<float>(op.master), value, n);
  });
}

}  // namespace mpibert::cuda
