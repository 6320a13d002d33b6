#include "comm/cuda/tree_sum.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

// A run of slots of a tree over at most 2^30 slots is at most two paths of nodes; a stack of partial sums holds a node of each level.
constexpr int kMostOwn = 64, kMostPartials = 32;

struct Operands {
  const float* own[kMostOwn];
  const float* received;
  const uint8_t* additions;
  int first, owned, count;
};

// The partial sums of a thread lie in its local memory, which the first cache holds: the memory of the device sees the operands and the
// sum.
__global__ void sum_in_tree_order(const __grid_constant__ Operands operands, float* sum, int64_t n) {
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size < 1) return;
  Octet partial[kMostPartials];
  int top = 0;
  for (int i = 0; i < operands.count; ++i) {
    const int own = i - operands.first;
    const float* operand = own < 0                ? operands.received + i * n
                           : own < operands.owned ? operands.own[own]
                                                  : operands.received + (i - operands.owned) * n;
    Octet x = load_octet(operand + at, size);
    for (int additions = operands.additions[i]; additions > 0; --additions) {
      const Octet& left = partial[--top];
      for (int k = 0; k < kOctet; ++k) x[k] = left[k] + x[k];
    }
    partial[top++] = x;
  }
  store_octet(sum + at, partial[0], size);
}

}  // namespace

void tree_sum(const TreeSum& op, cudaStream_t stream) {
  MPIBERT_ASSERT(op.own.size() <= kMostOwn);
  Operands operands{.own = {},
                    .received = static_cast<const float*>(op.received.data()),
                    .additions = static_cast<const uint8_t*>(op.additions.data()),
                    .first = op.first,
                    .owned = static_cast<int>(op.own.size()),
                    .count = static_cast<int>(op.additions.size())};
  for (size_t i = 0; i < op.own.size(); ++i) operands.own[i] = static_cast<const float*>(op.own[i].data());
  launch(octet_a_thread(op.sum.size()), stream, sum_in_tree_order, operands, static_cast<float*>(op.sum.data()), op.sum.size());
}

// The merges stand in the order in which they can be done, each right after the last operand of its right side.
std::vector<uint8_t> additions_after(int operands, const std::vector<SlotMerge>& merges) {
  std::vector<uint8_t> additions(static_cast<size_t>(operands));
  std::vector<int> last(static_cast<size_t>(operands));  // operand of the partial sum that begins with this one
  for (int i = 0; i < operands; ++i) last[static_cast<size_t>(i)] = i;
  for (const SlotMerge& merge : merges) {
    const int end = last.at(static_cast<size_t>(merge.from));
    MPIBERT_ASSERT(last.at(static_cast<size_t>(merge.into)) + 1 == merge.from);
    last[static_cast<size_t>(merge.into)] = end;
    ++additions[static_cast<size_t>(end)];
  }
  int depth = 0, most = 0;
  for (const uint8_t count : additions) {
    most = std::max(most, ++depth);
    depth -= count;
  }
  MPIBERT_ASSERT(depth == 1 && most <= kMostPartials);
  return additions;
}

}  // namespace mpibert::cuda
