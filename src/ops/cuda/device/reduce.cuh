#pragma once

// Sums and maxima over the threads of a warp and of a block, in an order that is a function of the block's size alone.

#include <cuda_runtime.h>

namespace mpibert::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

struct Sum {
  template <class T>
  __device__ static T combine(T a, T b) {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ static T combine(T a, T b) {
    return a > b ? a : b;
  }
};

// Every lane gets the result. All 32 lanes take part.
template <class Op, class T>
__device__ inline T warp_reduce(T x) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) x = Op::combine(x, __shfl_xor_sync(kAllLanes, x, distance));
  return x;
}

// Every thread gets the result. blockDim.x is a multiple of 32, up to 1024; `scratch` is shared memory, T[32], free again when it returns.
template <class Op, class T>
__device__ inline T block_reduce(T x, T* scratch) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp,
            warps = static_cast<int>(blockDim.x) / kWarp;
  x = warp_reduce<Op>(x);
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  T result = scratch[0];
  for (int i = 1; i < warps; ++i) result = Op::combine(result, scratch[i]);
  __syncthreads();
  return result;
}

}  // namespace mpibert::cuda
