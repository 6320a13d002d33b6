#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

constexpr int kThreads = 256;

// Block i adds up range i. In double no square of a finite float overflows or vanishes.
__global__ void add_ranges(const float* input, const Range* ranges, double* output) {
  __shared__ double scratch[kWarp];
  const int64_t begin = ranges[blockIdx.x].begin, end = ranges[blockIdx.x].end;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x * kOctet; i < end; i += kThreads * kOctet) {
    const Octet x = load_octet(input + i, octet_size(i, end));
    for (int j = 0; j < kOctet; ++j) sum += static_cast<double>(x[j]) * static_cast<double>(x[j]);
  }
  sum = block_reduce<Sum>(sum, scratch);
  if (threadIdx.x == 0) output[blockIdx.x] = sum;
}

}  // namespace

void square_sums(const SquareSums& op, const Context& context) {
  const auto count = static_cast<unsigned>(op.ranges.size() / static_cast<int64_t>(sizeof(Range)));
  launch({.grid = count, .block = kThreads}, context.stream, add_ranges, data<const float>(op.input), data<const Range>(op.ranges),
         data<double>(op.output));
}

}  // namespace mpibert::cuda
