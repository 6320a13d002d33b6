#pragma once

// What is worked out with a StepState: the same lines on every device.

#include "mpibert/ops/step_state.h"

#if defined(__CUDACC__)
#define MPIBERT_HOST_DEVICE __host__ __device__
#else
#define MPIBERT_HOST_DEVICE
#endif

#include <cfloat>
#include <cmath>

namespace mpibert {

// What the gradient of a loss term is multiplied with.
MPIBERT_HOST_DEVICE inline float scale_of(const StepState& state, int term) {
  return state.loss_weights[static_cast<size_t>(term)] * static_cast<float>(state.loss_scale);
}

// By squaring: products only, so that host and device agree to the bit.
MPIBERT_HOST_DEVICE inline double power(double base, int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent /= 2, base *= base)
    if (exponent % 2 == 1) result *= base;
  return result;
}

// The beta as the kernels have it, in fp32, so that the first moments are corrected to exactly the gradient.
MPIBERT_HOST_DEVICE inline float bias_correction(double beta, int64_t t) {
  return static_cast<float>(1 - power(static_cast<double>(static_cast<float>(beta)), t));
}

MPIBERT_HOST_DEVICE inline void update_loss_scale(StepState& state, const LossScaleOptions& options) {
  if (!options.dynamic) return;
  if (!state.applied) {
    const double lower = state.loss_scale * options.backoff_factor;
    state.loss_scale = lower > options.minimum ? lower : options.minimum;
    state.good_steps = 0;
  } else if (++state.good_steps >= options.growth_interval) {
    const double higher = state.loss_scale * options.growth_factor;
    if (higher <= static_cast<double>(FLT_MAX)) state.loss_scale = higher;  // kernels have it in fp32
    state.good_steps = 0;
  }
}

// square_sum: of the summed gradient, which still has the scale of the loss.
MPIBERT_HOST_DEVICE inline void decide_step(StepState& state, double square_sum, const StepRule& rule) {
  const double norm = sqrt(square_sum) / state.loss_scale;
  state.last_loss_scale = state.loss_scale;
  state.gradient_norm = norm;
  state.applied = norm <= DBL_MAX;  // false for infinity and NaN
  if (state.applied) {
    const double clip = rule.max_grad_norm > 0 && norm > rule.max_grad_norm ? rule.max_grad_norm / norm : 1;
    state.gradient_scale = static_cast<float>(clip / state.loss_scale);
    ++state.applied_steps;
    state.bias_correction1 = rule.correct_bias ? bias_correction(rule.beta1, state.applied_steps) : 1.0f;
    state.bias_correction2 = rule.correct_bias ? bias_correction(rule.beta2, state.applied_steps) : 1.0f;
  } else {
    ++state.skipped_steps;
  }
  update_loss_scale(state, rule.loss_scale);
}

}  // namespace mpibert
