#include "ops/cuda/device/ranges.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

struct Settings {
  double beta1, beta2;
  float epsilon;
};

// `value` is null where it is the master itself.
template <class T>
struct Entry {
  const float* gradient;
  float *exp_avg, *exp_avg_sq, *master;
  T* value;
  int64_t n;
  float rate, weight_decay;
};

// The scalars of one step, worked out in double and rounded once, as in ops/cpu/adam_step.cpp:
//   keep * w - step_size * m / (sqrt(v) / root2 + epsilon)           kAdam, kAdamW
//   keep * (w - step_size * m / (sqrt(v) + epsilon))                 kAdamWHf
// with m and v as stored, not corrected. kAdam adds decay * w to the gradient and keeps all of w.
struct Scalars {
  float gradient_scale, decay, keep, beta2, one_minus_beta1, one_minus_beta2, step_size, root2, epsilon;
};

template <AdamKind kind>
__device__ Scalars scalars_of(const Settings& settings, float its_rate, float weight_decay, const StepState& state) {
  const double rate = static_cast<double>(state.learning_rate) * its_rate,
               corrected_root = sqrt(static_cast<double>(state.bias_correction2));
  const bool hf = kind == AdamKind::kAdamWHf;
  Scalars s;
  s.gradient_scale = state.gradient_scale;
  s.decay = weight_decay;
  s.keep = static_cast<float>(kind == AdamKind::kAdam ? 1 : 1 - rate * weight_decay);
  s.beta2 = static_cast<float>(settings.beta2);
  s.one_minus_beta1 = static_cast<float>(1 - settings.beta1);
  s.one_minus_beta2 = static_cast<float>(1 - settings.beta2);
  s.step_size = static_cast<float>(rate * (hf ? corrected_root : 1) / state.bias_correction1);
  s.root2 = static_cast<float>(hf ? 1 : corrected_root);
  s.epsilon = settings.epsilon;
  return s;
}

// The order of the operations is that of ops/cpu/adam_step.cpp, and CMakeLists.txt forbids the compiler to contract them, so that the
// weights agree to the bit.
template <AdamKind kind, class T>
__global__ void update(const __grid_constant__ Ranges<Entry<T>> ranges, const StepState* state, Settings settings) {
  __shared__ Scalars shared;
  if (!state->applied) return;
  const int mine = ranges.mine();
  const Entry<T>& x = ranges.entry[mine];
  if (threadIdx.x == 0) shared = scalars_of<kind>(settings, x.rate, x.weight_decay, *state);
  __syncthreads();
  const Scalars s = shared;
  ranges.for_each_octet(mine, [&](int64_t at, int size) {
    const Octet gradients = load_octet(x.gradient + at, size);
    Octet ms = load_octet(x.exp_avg + at, size), vs = load_octet(x.exp_avg_sq + at, size), ws = load_octet(x.master + at, size);
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
    store_octet(x.exp_avg + at, ms, size);
    store_octet(x.exp_avg_sq + at, vs, size);
    store_octet(x.master + at, ws, size);
    if (x.value) store_octet(x.value + at, ws, size);
  });
}

template <AdamKind kind, class T>
void run(std::span<const AdamStep> ops, const Context& context) {
  const AdamStep& first = ops.front();
  const auto entry_of = [](const AdamStep& op) {
    return Entry<T>{.gradient = data<const float>(op.gradient),
                    .exp_avg = data<float>(op.exp_avg),
                    .exp_avg_sq = data<float>(op.exp_avg_sq),
                    .master = data<float>(op.master),
                    .value = op.value.data() == op.master.data() ? nullptr : data<T>(op.value),
                    .n = op.value.size(),
                    .rate = op.rate,
                    .weight_decay = op.weight_decay};
  };
  launch_ranges(ops, entry_of, context.stream, update<kind, T>, data<const StepState>(first.state),
                {.beta1 = first.beta1, .beta2 = first.beta2, .epsilon = first.epsilon});
}

}  // namespace

void adam_step(std::span<const AdamStep> ranges, const Context& context) {
  with_element(ranges.front().value.dtype(), [&]<class T>(T) {
    switch (ranges.front().kind) {
      case AdamKind::kAdam:
        return run<AdamKind::kAdam, T>(ranges, context);
      case AdamKind::kAdamW:
        return run<AdamKind::kAdamW, T>(ranges, context);
      case AdamKind::kAdamWHf:
        return run<AdamKind::kAdamWHf, T>(ranges, context);
    }
  });
}

}  // namespace mpibert::cuda
