#pragma once

// The second stage of a sum over rows: chunks of rows, cut as the shape says, have left one row of partial sums each.

#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

inline constexpr int kPartialLanes = 8;

// output[i] += sum over the chunks of partials[chunk * stride + i], i < width: lane y takes every eighth chunk, then the lanes are added in
// order. Blocks of (kWarp, kPartialLanes), one for kWarp columns.
__global__ void add_partials_kernel(const float* partials, int64_t chunks, int64_t stride, int64_t width, float* output) {
  __shared__ float sums[kPartialLanes][kWarp];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  float sum = 0;
  if (column < width)
    for (int64_t chunk = threadIdx.y; chunk < chunks; chunk += kPartialLanes) sum += partials[chunk * stride + column];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  for (int lane = 1; lane < kPartialLanes; ++lane) sum += sums[lane][threadIdx.x];
  output[column] += sum;
}

inline void add_partials(const float* partials, int64_t chunks, int64_t stride, int64_t width, float* output, cudaStream_t stream) {
  launch({.grid = dim3(static_cast<unsigned>((width + kWarp - 1) / kWarp)), .block = dim3(kWarp, kPartialLanes)}, stream,
         add_partials_kernel, partials, chunks, stride, width, output);
}

}  // namespace
}  // namespace mpibert::cuda
