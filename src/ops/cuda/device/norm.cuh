#pragma once

// Layer norm, forward and backward, one warp a row; layer_norm.cu and embedding.cu differ in what they do around it.

#include <algorithm>
#include <cmath>

#include "ops/cuda/device/dropout_mask.cuh"
#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/device/reduce.cuh"

namespace mpibert::cuda {
namespace {

inline constexpr int kRowsOfBlock = 4;  // warps

__device__ inline int lane_of_warp() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int64_t row_of_warp() { return static_cast<int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.x / kWarp; }

// f(begin, n) for this lane's octets of a row: columns begin .. begin + n. The same lane has the same columns in every pass, so that it may
// read what it has written.
template <class F>
__device__ inline void for_octets(int64_t hidden, const F& f) {
  for (int64_t begin = lane_of_warp() * kOctet; begin < hidden; begin += kWarp * kOctet) f(begin, octet_size(begin, hidden));
}

// x[i] becomes dropout(x)[i], for the columns begin .. begin + 8 of the row.
__device__ inline void drop(const DropoutMask& mask, int64_t row, int64_t begin, Octet& x) {
  if (!mask.active()) return;
  const uint32_t kept = mask.keep_bits(mask.token_key(row), static_cast<uint32_t>(begin / kOctet));
  for (int i = 0; i < kOctet; ++i) x[i] = (kept >> i) & 1u ? x[i] * mask.scale() : 0.0f;
}

struct Moments {
  float mean, rstd;
};

// Of the row as it is stored: what backward will read.
template <class T>
__device__ inline Moments moments(const T* z, int64_t hidden, float epsilon) {
  float total = 0;
  for_octets(hidden, [&](int64_t begin, int n) {
    const Octet x = load_octet(z + begin, n);
    for (int i = 0; i < kOctet; ++i) total += x[i];
  });
  const float mean = warp_reduce<Sum>(total) / static_cast<float>(hidden);
  float squares = 0;
  for_octets(hidden, [&](int64_t begin, int n) {
    const Octet x = load_octet(z + begin, n);
    for (int i = 0; i < kOctet; ++i) squares += i < n ? (x[i] - mean) * (x[i] - mean) : 0.0f;
  });
  return {mean, 1 / sqrtf(warp_reduce<Sum>(squares) / static_cast<float>(hidden) + epsilon)};
}

// weight * (z - mean) * rstd + bias, for the columns begin .. begin + n.
template <class T>
__device__ inline Octet norm_forward(const T* z, Moments m, const T* weight, const T* bias, int64_t begin, int n) {
  const Octet x = load_octet(z + begin, n), w = load_octet(weight + begin, n), b = load_octet(bias + begin, n);
  Octet y;
  for (int i = 0; i < kOctet; ++i) y[i] = (x[i] - m.mean) * m.rstd * w[i] + b[i];
  return y;
}

// Calls out(begin, n, dz) for the gradient of z, where gradient(begin, n) loads that of the norm's output:
//   dz = rstd * (u - mean(u) - x mean(u x)),  u = gradient * weight,  x = (z - mean) * rstd
template <class T, class Gradient, class Out>
__device__ inline void norm_backward(const Gradient& gradient, const T* z, Moments m, const T* weight, int64_t hidden, const Out& out) {
  float total_u = 0, total_ux = 0;
  for_octets(hidden, [&](int64_t begin, int n) {
    const Octet g = gradient(begin, n), x = load_octet(z + begin, n), w = load_octet(weight + begin, n);
    for (int i = 0; i < kOctet; ++i) {
      const float u = g[i] * w[i];  // 0 behind the last column
      total_u += u;
      total_ux += u * ((x[i] - m.mean) * m.rstd);
    }
  });
  const float mean_u = warp_reduce<Sum>(total_u) / static_cast<float>(hidden),
              mean_ux = warp_reduce<Sum>(total_ux) / static_cast<float>(hidden);
  for_octets(hidden, [&](int64_t begin, int n) {
    const Octet g = gradient(begin, n), x = load_octet(z + begin, n), w = load_octet(weight + begin, n);
    Octet dz;
    for (int i = 0; i < kOctet; ++i) dz[i] = m.rstd * (g[i] * w[i] - mean_u - (x[i] - m.mean) * m.rstd * mean_ux);
    out(begin, n, dz);
  });
}

inline constexpr int kChunkRows = 64;  // rows of one partial sum
inline constexpr int kChunkLanes = 8;  // rows in flight in it
inline constexpr int kStripColumns = kWarp * kOctet;

// partials[chunk][0][H] = sum over the chunk's rows of g * x, partials[chunk][1][H] = sum of g, g = dropout(gradient). Lane y takes every
// eighth row, then the lanes are added in order. Blocks of (kWarp, kChunkLanes), one for a chunk and kStripColumns columns.
template <class T>
__global__ void norm_partials_kernel(const T* gradient, const T* z, const float* mean, const float* rstd, int64_t rows, int64_t hidden,
                                     DropoutArguments dropout, float* partials) {
  __shared__ float d_weight[kChunkLanes][kStripColumns], d_bias[kChunkLanes][kStripColumns];
  const DropoutMask mask(dropout);
  const int64_t strip = static_cast<int64_t>(blockIdx.y) * kStripColumns, begin = strip + threadIdx.x * kOctet;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kChunkRows, last = std::min(first + kChunkRows, rows);
  Octet weight_sum = {}, bias_sum = {};
  if (begin < hidden) {
    const int n = octet_size(begin, hidden);
    for (int64_t row = first + threadIdx.y; row < last; row += kChunkLanes) {
      Octet g = load_octet(gradient + row * hidden + begin, n);
      const Octet x = load_octet(z + row * hidden + begin, n);
      drop(mask, row, begin, g);
      const Moments m = {mean[row], rstd[row]};
      for (int i = 0; i < kOctet; ++i) {
        weight_sum[i] += g[i] * ((x[i] - m.mean) * m.rstd);
        bias_sum[i] += g[i];
      }
    }
  }
  for (int i = 0; i < kOctet; ++i) {
    d_weight[threadIdx.y][threadIdx.x * kOctet + i] = weight_sum[i];
    d_bias[threadIdx.y][threadIdx.x * kOctet + i] = bias_sum[i];
  }
  __syncthreads();
  const int column = static_cast<int>(threadIdx.y * kWarp + threadIdx.x);
  if (strip + column >= hidden) return;
  float weight_total = 0, bias_total = 0;
  for (int lane = 0; lane < kChunkLanes; ++lane) {
    weight_total += d_weight[lane][column];
    bias_total += d_bias[lane][column];
  }
  float* const to = partials + static_cast<int64_t>(blockIdx.x) * 2 * hidden + strip + column;
  to[0] = weight_total;
  to[hidden] = bias_total;
}
static_assert(kChunkLanes * kWarp == kStripColumns, "each thread adds one column");

}  // namespace
}  // namespace mpibert::cuda
