#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>
#include <vector>

#include "mpibert/comm/slot_tree.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert::cuda {

// The operands of a slot tree pushed on a stack in their order, each followed by `additions` of the two uppermost partial sums, give the
// sum at the end. merges: as combine_order() gives them.
std::vector<uint8_t> additions_after(int operands, const std::vector<SlotMerge>& merges);

// sum[i] = the operands' [i], added in the order of the slot tree; every number is read once. Bits as PieceSum's. Queued.
// Operands first, first + 1, ... are this rank's; the others, in order, are rows of `received`.
struct TreeSum {
  std::span<const Tensor> own;  // [n] fp32 each
  int first = 0;
  Tensor received;   // [operands - own, n] fp32; left out if there are none
  Tensor additions;  // [operands] uint8, of additions_after()
  Tensor sum;        // [n] fp32; overlaps no operand
};
void tree_sum(const TreeSum& op, cudaStream_t stream);

}  // namespace mpibert::cuda
