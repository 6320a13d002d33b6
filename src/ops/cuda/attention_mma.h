#pragma once

// Attention of 16-bit numbers on tensor cores: attention_mma_forward.cu, attention_mma_backward.cu.

#include "mpibert/base/error.h"
#include "ops/cuda/kernels.h"
#include "ops/element.h"

namespace mpibert::cuda {

// Whether such an operation is computed there: 16-bit numbers, heads that are read 16 bytes at a time, no distance embeddings.
template <class Op>
bool takes_tensor_cores(const Op& op) {
  const int64_t head_size = op.qkv.shape()[3];
  return !op.distance_embedding && bytes_of(op.qkv.dtype()) == 2 && head_size <= 128 && head_size % 8 == 0;
}

void attention_forward_mma(const AttentionForward& op, const Context& context);
void attention_backward_mma(const AttentionBackward& op, const Context& context);

// Calls f.operator()<T, depth>() for the tensor's type and the depth, a power of two, to which D is filled with zeros.
template <class F>
void with_depth(const Tensor& qkv, const F& f) {
  with_type<bfloat16, float16>(qkv.dtype(), [&]<class T>(T) {
    const int64_t head_size = qkv.shape()[3];
    if (head_size <= 32) {
      f.template operator()<T, 32>();
    } else if (head_size <= 64) {
      f.template operator()<T, 64>();
    } else {
      f.template operator()<T, 128>();
    }
  });
}

// cp.async reads 16 aligned bytes.
inline void check_aligned(const char* name, const Tensor& t) {
  MPIBERT_CHECK(reinterpret_cast<uintptr_t>(t.data()) % 16 == 0, kInvalidArgument, "attention: expected ", name,
                " at an address divisible by 16, found ", t.data());
}

}  // namespace mpibert::cuda
