#include "ops/cuda/ragged_layout.h"

#include "ops/cuda/element.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void fill(const int32_t* cu_seqlens, int sequences, int capacity, int heads, int head_size, RaggedLayout layout) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i > capacity) return;
  const int32_t begin = cu_seqlens[i < sequences ? i : sequences];
  layout.qkv[i] = begin * 3 * heads * head_size;
  layout.context[i] = begin * heads * head_size;
  layout.stats[i] = begin * heads;
  if (i < capacity) layout.lengths[i] = i < sequences ? cu_seqlens[i + 1] - begin : 0;
}

}  // namespace

RaggedLayout ragged_layout(const Tensor& cu_seqlens, int64_t heads, int64_t head_size, int64_t capacity, int32_t* memory,
                           const Context& context) {
  const int64_t row = capacity + 1;
  const RaggedLayout layout = {.qkv = memory, .context = memory + row, .stats = memory + 2 * row, .lengths = memory + 3 * row};
  launch({.grid = static_cast<unsigned>((row + kThreads - 1) / kThreads), .block = kThreads}, context.stream, fill,
         data<const int32_t>(cu_seqlens), static_cast<int>(cu_seqlens.size() - 1), static_cast<int>(capacity), static_cast<int>(heads),
         static_cast<int>(head_size), layout);
  return layout;
}

}  // namespace mpibert::cuda
