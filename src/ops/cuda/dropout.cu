#include "ops/cuda/device/dropout_mask.cuh"
#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

// An octet of elements shares the words of one Philox call.
template <class T>
__global__ void masked(const T* input, DropoutArguments dropout, T* output, int64_t hidden) {
  const int64_t row = blockIdx.x;
  const DropoutMask mask(dropout);
  const uint32_t key = mask.active() ? mask.token_key(row) : 0;
  for (int64_t octet = threadIdx.x; octet * kOctet < hidden; octet += blockDim.x) {
    const int64_t at = row * hidden + octet * kOctet;
    const int size = octet_size(octet * kOctet, hidden);
    Octet x = load_octet(input + at, size);
    const uint32_t bits = mask.active() ? mask.keep_bits(key, static_cast<uint32_t>(octet)) : 0xffu;
    for (int i = 0; i < kOctet; ++i) x[i] = (bits >> i) & 1u ? x[i] * mask.scale() : 0.0f;
    store_octet(output + at, x, size);
  }
}

}  // namespace

void dropout(const DropoutApply& op, const Context& context) {
  const int64_t rows = op.input.shape()[0], hidden = op.input.shape()[1];
  with_element(op.input.dtype(), [&]<class T>(T) {
    launch(row_a_block(rows, hidden), context.stream, masked<T>, data<const T>(op.input), dropout_arguments(op.dropout), data<T>(op.output),
           hidden);
  });
}

}  // namespace mpibert::cuda
