#pragma once

// The gradient of AttentionForward::distance_embedding: attention_distance.cu. The rest of attention with distances is in attention.cu.

#include "ops/cuda/kernels.h"

namespace mpibert::cuda {

int64_t distance_partials(const AttentionBackward& op);  // how many fp32 numbers distance_backward needs
// deltas [A, T], as attention.cu's d_query_kernel has left them.
void distance_backward(const AttentionBackward& op, const float* deltas, float* partials, const Context& context);

}  // namespace mpibert::cuda
