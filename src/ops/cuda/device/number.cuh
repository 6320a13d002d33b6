#pragma once

// Numbers in memory (float, bfloat16, float16) to fp32 and back, rounding to nearest, ties to even.

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "mpibert/base/dtype.h"

namespace mpibert::cuda {

__device__ inline float load(const float* p) { return *p; }
__device__ inline float load(const bfloat16* p) { return __uint_as_float(static_cast<uint32_t>(p->bits) << 16); }
__device__ inline float load(const float16* p) { return __half2float(__ushort_as_half(p->bits)); }

__device__ inline void store(float* p, float x) { *p = x; }
__device__ inline void store(bfloat16* p, float x) {
  const uint32_t u = __float_as_uint(x);
  const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
  p->bits = static_cast<uint16_t>(is_nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
__device__ inline void store(float16* p, float x) { p->bits = __half_as_ushort(__float2half_rn(x)); }

// x as it is after a round trip through T.
template <class T>
__device__ inline float rounded(float x) {
  T there;
  store(&there, x);
  return load(&there);
}

}  // namespace mpibert::cuda
