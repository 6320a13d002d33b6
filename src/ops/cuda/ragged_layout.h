#pragma once

#include "ops/cuda/kernels.h"

namespace mpibert::cuda {

// The layout of a packed batch as cuDNN wants it, for `capacity` sequences of which the last ones are empty. int32, on the device:
//   qkv, context, stats [capacity + 1]   where each sequence begins, in elements of qkv [T, 3, A, D], context [T, A, D] and stats [T, A]
//   lengths [capacity]
struct RaggedLayout {
  int32_t *qkv, *context, *stats, *lengths;
};
inline int64_t ragged_layout_size(int64_t capacity) { return 4 * (capacity + 1); }  // int32 of memory

// cu_seqlens [B + 1] int32, B <= capacity; memory [ragged_layout_size(capacity)]
RaggedLayout ragged_layout(const Tensor& cu_seqlens, int64_t heads, int64_t head_size, int64_t capacity, int32_t* memory,
                           const Context& context);

}  // namespace mpibert::cuda
