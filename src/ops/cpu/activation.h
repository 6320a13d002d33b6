#pragma once

// The activation functions of ops.h on vectors, and their derivatives with respect to the input. For CPU kernels only, like simd.h.
// T is the type that the result is rounded to: for bf16, gelu is computed to a tenth of that rounding.

#include <type_traits>

#include "mpibert/ops/ops.h"
#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

// The logistic function of 2 y and half of its derivative, with y = sqrt(2 / pi) (x + 0.044715 x^3):  x * logistic(2 y) = x / 2 (1 +
// tanh(y)).
inline Vec gelu_tanh_logistic(Vec x) {
  constexpr float kTwoRootTwoOverPi = 1.59576912f;
  return 1.0f / (1.0f + exp(-kTwoRootTwoOverPi * x * (1.0f + 0.044715f * x * x)));
}

template <class T>
inline Normal normal_for(Vec x) {
  if constexpr (sizeof(T) == 2) return rough_normal(x);
  else return normal(x);
}

template <Activation kind, class T = float>
inline Vec activate(Vec x) {
  if constexpr (kind == Activation::kGelu) return x * normal_for<T>(x).phi;
  if constexpr (kind == Activation::kGeluTanh) return x * gelu_tanh_logistic(x);
  if constexpr (kind == Activation::kRelu) return x < 0.0f ? Vec{} : x;  // so that a NaN stays
  if constexpr (kind == Activation::kTanh) return tanh(x);
  if constexpr (kind == Activation::kNone) return x;
}

template <Activation kind, class T = float>
inline Vec derivative(Vec x) {
  if constexpr (kind == Activation::kGelu) {
    const Normal n = normal_for<T>(x);
    return n.phi + x * n.density;
  }
  if constexpr (kind == Activation::kGeluTanh) {
    const Vec s = gelu_tanh_logistic(x);
    x = abs(x) > 1e3f ? broadcast(1e3f) : x;  // s is 0 or 1 there; the square must not overflow
    return s + x * s * (1.0f - s) * (1.59576912f * (1.0f + 0.134145f * x * x));
  }
  if constexpr (kind == Activation::kRelu) return x > 0.0f ? broadcast(1.0f) : Vec{};
  if constexpr (kind == Activation::kTanh) {
    const Vec y = tanh(x);
    return (1.0f - y) * (1.0f + y);
  }
  if constexpr (kind == Activation::kNone) return broadcast(1.0f);
}

// Calls f with the kind as a constant: f(std::integral_constant<Activation, kind>).
template <class F>
inline void with_activation(Activation kind, F f) {
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

}  // namespace
}  // namespace mpibert::cpu
