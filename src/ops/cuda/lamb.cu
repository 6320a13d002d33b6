// lamb_direction, trust_ratios and lamb_apply. The order of the operations is that of ops/cpu/lamb.cpp, and CMakeLists.txt forbids the
// compiler to contract them, so that the weights agree to the bit.

#include "ops/cuda/device/ranges.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

constexpr int kRatioThreads = 256;

struct Settings {
  float one_minus_beta1, beta2, one_minus_beta2, epsilon;
};

struct DirectionEntry {
  float *gradient, *exp_avg, *exp_avg_sq;
  const float* master;
  int64_t n;
  float weight_decay;
};

__global__ void direction_of(const __grid_constant__ Ranges<DirectionEntry> ranges, const StepState* state, Settings s) {
  if (!state->applied) return;
  const int mine = ranges.mine();
  const DirectionEntry& x = ranges.entry[mine];
  const float scale = state->gradient_scale, correction1 = state->bias_correction1, root2 = sqrtf(state->bias_correction2);
  ranges.for_each_octet(mine, [&](int64_t at, int size) {
    Octet gs = load_octet(x.gradient + at, size), ms = load_octet(x.exp_avg + at, size), vs = load_octet(x.exp_avg_sq + at, size);
    const Octet ws = load_octet(x.master + at, size);
    for (int i = 0; i < kOctet; ++i) {
      const float g = gs[i] * scale;
      const float m = ms[i] + s.one_minus_beta1 * (g - ms[i]);
      const float v = s.beta2 * vs[i] + s.one_minus_beta2 * g * g;
      ms[i] = m;
      vs[i] = v;
      gs[i] = m / correction1 / (sqrtf(v) / root2 + s.epsilon) + x.weight_decay * ws[i];
    }
    store_octet(x.exp_avg + at, ms, size);
    store_octet(x.exp_avg_sq + at, vs, size);
    store_octet(x.gradient + at, gs, size);
  });
}

// A block has a parameter.
__global__ void find_ratios(const double* weights, const double* directions, const int64_t* first_cells, const uint8_t* adapts,
                            float* ratios) {
  __shared__ double scratch[kWarp];
  double of_weights = 0, of_directions = 0;
  for (int64_t i = first_cells[blockIdx.x] + threadIdx.x; i < first_cells[blockIdx.x + 1]; i += kRatioThreads) {
    of_weights += weights[i];
    of_directions += directions[i];
  }
  of_weights = block_reduce<Sum>(of_weights, scratch);
  of_directions = block_reduce<Sum>(of_directions, scratch);
  if (threadIdx.x != 0) return;
  const bool adapted = adapts[blockIdx.x] && of_weights > 0 && of_directions > 0;
  ratios[blockIdx.x] = adapted ? static_cast<float>(sqrt(of_weights) / sqrt(of_directions)) : 1.0f;
}

// `value` is null where it is the master itself.
template <class T>
struct ApplyEntry {
  const float *direction, *trust_ratio;
  float* master;
  T* value;
  int64_t n;
  float rate;
};

template <class T>
__global__ void step_along(const __grid_constant__ Ranges<ApplyEntry<T>> ranges, const StepState* state) {
  if (!state->applied) return;
  const int mine = ranges.mine();
  const ApplyEntry<T>& x = ranges.entry[mine];
  const float step_size = state->learning_rate * x.rate * *x.trust_ratio;
  ranges.for_each_octet(mine, [&](int64_t at, int size) {
    const Octet d = load_octet(x.direction + at, size);
    Octet w = load_octet(x.master + at, size);
    for (int i = 0; i < kOctet; ++i) w[i] -= step_size * d[i];
    store_octet(x.master + at, w, size);
    if (x.value) store_octet(x.value + at, w, size);
  });
}

}  // namespace

void lamb_direction(std::span<const LambDirection> ranges, const Context& context) {
  const LambDirection& first = ranges.front();
  const auto entry_of = [](const LambDirection& op) {
    return DirectionEntry{.gradient = data<float>(op.gradient),
                          .exp_avg = data<float>(op.exp_avg),
                          .exp_avg_sq = data<float>(op.exp_avg_sq),
                          .master = data<const float>(op.master),
                          .n = op.gradient.size(),
                          .weight_decay = op.weight_decay};
  };
  launch_ranges(ranges, entry_of, context.stream, direction_of, data<const StepState>(first.state),
                {.one_minus_beta1 = static_cast<float>(1 - first.beta1),
                 .beta2 = static_cast<float>(first.beta2),
                 .one_minus_beta2 = static_cast<float>(1 - first.beta2),
                 .epsilon = first.epsilon});
}

void trust_ratios(const TrustRatios& op, const Context& context) {
  launch({.grid = dim3(static_cast<unsigned>(op.ratios.size())), .block = kRatioThreads}, context.stream, find_ratios,
         data<const double>(op.weights), data<const double>(op.directions), data<const int64_t>(op.first_cells),
         data<const uint8_t>(op.adapts), data<float>(op.ratios));
}

void lamb_apply(std::span<const LambApply> ranges, const Context& context) {
  with_element(ranges.front().value.dtype(), [&]<class T>(T) {
    const auto entry_of = [](const LambApply& op) {
      return ApplyEntry<T>{.direction = data<const float>(op.direction),
                           .trust_ratio = data<const float>(op.trust_ratio),
                           .master = data<float>(op.master),
                           .value = op.value.data() == op.master.data() ? nullptr : data<T>(op.value),
                           .n = op.value.size(),
                           .rate = op.rate};
    };
    launch_ranges(ranges, entry_of, context.stream, step_along<T>, data<const StepState>(ranges.front().state));
  });
}

}  // namespace mpibert::cuda
