#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mpibert/ops/ops.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {

// Bytes of AttentionForward::saved: log(sum of exp(scores)) of each head and token, fp32 [A, T]. Backward makes the probabilities again
// from it.
size_t attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length);

// Attention over packed sequences, with its dropout, on the CPU. One work item is one head of one sequence and belongs to one thread; its
// numbers depend on nothing else, so neither thread count nor packing changes a bit. fp32 inside, whatever the tensors are. Source of the
// idea (blocks of queries; recomputing in backward): Dao et al. 2022, arXiv:2205.14135; here a block sees all keys of its sequence, because
// a row of scores fits in cache. The gradient of the distance embeddings is a sum over items, in their order.
class AttentionEngine {
 public:
  void forward(const AttentionForward& op);
  void backward(const AttentionBackward& op);  // context is not needed

 private:
  std::vector<Workspace> workspaces_;  // one a thread
  Workspace distances_, partials_;     // Distances; their gradients, of each item
};

}  // namespace mpibert::cpu
