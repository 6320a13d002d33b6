#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

struct Settings {
  double beta1, beta2;
  float epsilon, weight_decay;
};

// The scalars of one step, worked out in double and rounded once, as in ops/cpu/adam_step.cpp:
//   keep * w - step_size * m / (sqrt(v) / root2 + epsilon)           kAdam, kAdamW
//   keep * (w - step_size * m / (sqrt(v) + epsilon))                 kAdamWHf
// with m and v as stored, not corrected. kAdam adds decay * w to the gradient and keeps all of w.
struct Scalars {
  float gradient_scale, decay, keep, beta2, one_minus_beta1, one_minus_beta2, step_size, root2, epsilon;
};

template <AdamKind kind>
__device__ Scalars scalars_of(const Settings& settings, const StepState& state) {
  const double rate = state.learning_rate, corrected_root = sqrt(static_cast<double>(state.bias_correction2));
  const bool hf = kind == AdamKind::kAdamWHf;
  Scalars s;
  s.gradient_scale = state.gradient_scale;
  s.decay = settings.weight_decay;
  s.keep = static_cast<float>(kind == AdamKind::kAdam ? 1 : 1 - rate * settings.weight_decay);
  s.beta2 = static_cast<float>(settings.beta2);
  s.one_minus_beta1 = static_cast<float>(1 - settings.beta1);
  s.one_minus_beta2 = static_cast<float>(1 - settings.beta2);
  s.step_size = static_cast<float>(rate * (hf ? corrected_root : 1) / state.bias_correction1);
  s.root2 = static_cast<float>(hf ? 1 : corrected_root);
  s.epsilon = settings.epsilon;
  return s;
}

// `value` is null where it is the master itself. The order of the operations is that of ops/cpu/adam_step.cpp, and CMakeLists.txt forbids
// the compiler to contract them, so that the weights agree to the bit.
template <AdamKind kind, class T>
__global__ void update(const float* gradient, const StepState* state, Settings settings, float* exp_avg, float* exp_avg_sq, float* master, T* value,
                       int64_t n) {
  __shared__ Scalars shared;
  if (threadIdx.x == 0) shared = scalars_of<kind>(settings, *state);
  __syncthreads();
  const Scalars s = shared;
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size < 1) return;
  const Octet gradients = load_octet(gradient + at, size);
  Octet ms = load_octet(exp_avg + at, size), vs = load_octet(exp_avg_sq + at, size), ws = load_octet(master + at, size);
  for (int i = 0; i < kOctet; ++i) {
    float w = ws[i], g = gradients[i] * s.gradient_scale;
    if constexpr (kind == AdamKind::kAdam) g += s.decay * w;
    if constexpr (kind == AdamKind::kAdamW) w *= s.keep;
    const float m = ms[i] + s.one_minus_beta1 * (g - ms[i]);
    const float v = s.beta2 * vs[i] + s.one_minus_beta2 * g * g;
    w -= s.step_size * m / (sqrtf(v) / s.root2 + s.epsilon);
    if constexpr (kind == AdamKind::kAdamWHf) w *= s.keep;
    ms[i] = m;
    vs[i] = v;
    ws[i] = w;
  }
  store_octet(exp_avg + at, ms, size);
  store_octet(exp_avg_sq + at, vs, size);
  store_octet(master + at, ws, size);
  if (value) store_octet(value + at, ws, size);
}

template <AdamKind kind, class T>
void run(const AdamStep& op, const Context& context) {
  const int64_t n = op.value.size();
  T* value = op.value.data() == op.master.data() ? nullptr : data<T>(op.value);
  const Settings settings = {.beta1 = op.beta1, .beta2 = op.beta2, .epsilon = op.epsilon, .weight_decay = op.weight_decay};
  launch(octet_a_thread(n), context.stream, update<kind, T>, data<const float>(op.gradient), data<const StepState>(op.state), settings,
         data<float>(op.exp_avg), data<float>(op.exp_avg_sq), data<float>(op.master), value, n);
}

}  // namespace

void adam_step(const AdamStep& op, const Context& context) {
  with_element(op.value.dtype(), [&]<class T>(T) {
    switch (op.kind) {
      case AdamKind::kAdam: return run<AdamKind::kAdam, T>(op, context);
      case AdamKind::kAdamW: return run<AdamKind::kAdamW, T>(op, context);
      case AdamKind::kAdamWHf: return run<AdamKind::kAdamWHf, T>(op, context);
    }
  });
}

}  // namespace mpibert::cuda
