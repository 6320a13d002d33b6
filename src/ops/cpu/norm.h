#pragma once

// One row of a layer norm, forward and backward; layer_norm.cpp and embedding.cpp differ in what they do around it. For CPU kernels only,
// like simd.h.

#include <cmath>

#include "ops/cpu/dropout_mask.h"
#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

struct Moments {
  float mean, rstd;
};

// Of the row as it is stored: what backward will read.
template <class T>
inline Moments moments(const T* z, int64_t hidden, float epsilon) {
  Vec total{};
  for_lanes(hidden, [&](int64_t i, int n) { total += load_n(z + i, n); });
  const float mean = sum(total) / static_cast<float>(hidden);
  Vec squares{};
  for_lanes(hidden, [&](int64_t i, int n) {
    Vec d = load_n(z + i, n) - mean;
    if (n < kLanes) d = keep(d, (uint64_t{1} << n) - 1);
    squares += d * d;
  });
  return {mean, 1 / std::sqrt(sum(squares) / static_cast<float>(hidden) + epsilon)};
}

template <class T>
inline Vec normalized(const T* z, Moments m, int n) {
  return (load_n(z, n) - m.mean) * m.rstd;
}

// Adds the row's share to d_weight and d_bias, which have room for whole vectors, and calls out(i, n, dz) for the gradient of z:
//   dz = rstd * (u - mean(u) - x mean(u x)),  u = gradient * weight,  x = (z - mean) * rstd
template <class G, class T, class Out>
inline void norm_backward_row(const G* gradient, const T* z, Moments m, const T* weight, int64_t hidden, float* d_weight, float* d_bias,
                              Out out) {
  Vec total_u{}, total_ux{};
  for_lanes(hidden, [&](int64_t i, int n) {
    const Vec g = load_n(gradient + i, n), x = normalized(z + i, m, n), u = g * load_n(weight + i, n);
    total_u += u;
    total_ux += u * x;
    store(d_weight + i, load(d_weight + i) + g * x);
    store(d_bias + i, load(d_bias + i) + g);
  });
  const float mean_u = sum(total_u) / static_cast<float>(hidden), mean_ux = sum(total_ux) / static_cast<float>(hidden);
  for_lanes(hidden, [&](int64_t i, int n) {
    const Vec u = load_n(gradient + i, n) * load_n(weight + i, n);
    out(i, n, m.rstd * (u - mean_u - normalized(z + i, m, n) * mean_ux));
  });
}

// Whole vectors that hold a row of `hidden` floats.
inline int64_t padded(int64_t hidden) { return (hidden + kLanes - 1) / kLanes * kLanes; }

}  // namespace
}  // namespace mpibert::cpu
