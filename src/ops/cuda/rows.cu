// gather_rows and scatter_rows: a block a row.

#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

template <class T>
__global__ void take_rows(const T* input, const int32_t* indices, T* output, int64_t hidden) {
  const T* from = input + indices[blockIdx.x] * hidden;
  T* to = output + blockIdx.x * hidden;
  for (int64_t at = threadIdx.x * kOctet; at < hidden; at += blockDim.x * kOctet) {
    const int size = octet_size(at, hidden);
    store_octet(to + at, load_octet(from + at, size), size);
  }
}

// The indices are all different, so no two blocks meet.
template <class T>
__global__ void add_rows(const T* input, const int32_t* indices, T* output, int64_t hidden) {
  const T* from = input + blockIdx.x * hidden;
  T* to = output + indices[blockIdx.x] * hidden;
  for (int64_t at = threadIdx.x * kOctet; at < hidden; at += blockDim.x * kOctet) {
    const int size = octet_size(at, hidden);
    Octet sum = load_octet(to + at, size);
    const Octet x = load_octet(from + at, size);
    for (int i = 0; i < kOctet; ++i) sum[i] += x[i];
    store_octet(to + at, sum, size);
  }
}

}  // namespace

void gather_rows(const GatherRows& op, const Context& context) {
  const int64_t rows = op.output.shape()[0], hidden = op.output.shape()[1];
  with_element(op.input.dtype(), [&]<class T>(T) {
    launch(row_a_block(rows, hidden), context.stream, take_rows<T>, data<const T>(op.input), data<const int32_t>(op.indices),
           data<T>(op.output), hidden);
  });
}

void scatter_rows(const ScatterRows& op, const Context& context) {
  const int64_t rows = op.input.shape()[0], hidden = op.input.shape()[1];
  with_element(op.input.dtype(), [&]<class T>(T) {
    launch(row_a_block(rows, hidden), context.stream, add_rows<T>, data<const T>(op.input), data<const int32_t>(op.indices),
           data<T>(op.output), hidden);
  });
}

}  // namespace mpibert::cuda
