#pragma once

// The activation functions of ops.h, and their derivatives with respect to the input, in fp32.

#include <cuda_runtime.h>

#include <type_traits>

#include "mpibert/ops/ops.h"

namespace mpibert::cuda {

// The normal distribution function; by erfc, so that the small values of negative x keep their digits.
__device__ inline float normal_phi(float x) { return 0.5f * erfcf(-0.707106781f * x); }

// The logistic function of 2 y, with y = sqrt(2 / pi) (x + 0.044715 x^3):  x * logistic(2 y) = x / 2 (1 + tanh(y)).
__device__ inline float gelu_tanh_logistic(float x) {
  constexpr float kTwoRootTwoOverPi = 1.59576912f;
  return 1.0f / (1.0f + expf(-kTwoRootTwoOverPi * x * (1.0f + 0.044715f * x * x)));
}

template <Activation kind>
__device__ inline float activate(float x) {
  if constexpr (kind == Activation::kGelu) return x * normal_phi(x);
  if constexpr (kind == Activation::kGeluTanh) return x * gelu_tanh_logistic(x);
  if constexpr (kind == Activation::kRelu) return x < 0.0f ? 0.0f : x;  // so that a NaN stays
  if constexpr (kind == Activation::kTanh) return tanhf(x);
  return x;
}

template <Activation kind>
__device__ inline float derivative(float x) {
  if constexpr (kind == Activation::kGelu) return normal_phi(x) + x * (0.398942280f * expf(-0.5f * x * x));
  if constexpr (kind == Activation::kGeluTanh) {
    const float s = gelu_tanh_logistic(x);
    const float bounded = fabsf(x) > 1e3f ? 1e3f : x;  // s is 0 or 1 there; the square must not overflow
    return s + bounded * s * (1.0f - s) * (1.59576912f * (1.0f + 0.134145f * bounded * bounded));
  }
  if constexpr (kind == Activation::kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if constexpr (kind == Activation::kTanh) {
    const float y = tanhf(x);
    return (1.0f - y) * (1.0f + y);
  }
  return 1.0f;
}

// Calls f with the kind as a constant, on the host: f(std::integral_constant<Activation, kind>).
template <class F>
void with_activation(Activation kind, const F& f) {
  switch (kind) {
    case Activation::kNone:
      return f(std::integral_constant<Activation, Activation::kNone>{});
    case Activation::kGelu:
      return f(std::integral_constant<Activation, Activation::kGelu>{});
    case Activation::kGeluTanh:
      return f(std::integral_constant<Activation, Activation::kGeluTanh>{});
    case Activation::kRelu:
      return f(std::integral_constant<Activation, Activation::kRelu>{});
    case Activation::kTanh:
      return f(std::integral_constant<Activation, Activation::kTanh>{});
  }
}

}  // namespace mpibert::cuda
