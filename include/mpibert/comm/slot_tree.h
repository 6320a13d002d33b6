#pragma once

#include <cstdint>
#include <vector>

namespace mpibert {

// The slots of a global batch, and the one order in which their gradients are added. Pure functions of numbers.
//
// A global batch is dealt into G slots, numbered 0 .. G-1. The slot tree over [first, last) is
//   a leaf, if last - first = 1;
//   otherwise node(first, middle) + node(middle, last), where middle - first is the largest power of two below last - first.
// G = 6:  ((0 + 1) + (2 + 3)) + (4 + 5).   G = 7:  ((0 + 1) + (2 + 3)) + ((4 + 5) + 6).
// Rank r of R computes the contiguous run [floor(r G / R), floor((r + 1) G / R)), adds what it can inside it, and the owners of the pieces
// add the rest, always along this tree: so the sum has the same bits for every R. Where G and R are powers of two, each run is one node.
//
// All functions throw kInvalidArgument unless 1 <= ranks <= slots and 0 <= rank < ranks.

struct SlotRange {  // [first, last)
  int64_t first = 0;
  int64_t last = 0;
  int64_t size() const { return last - first; }
  bool operator==(const SlotRange&) const = default;
};

SlotRange slots_of_rank(int64_t slots, int ranks, int rank);

// The nodes of the tree that lie wholly in the rank's run and whose parent does not, in slot order. They cover the run. At least one, and
// one alone for every rank where slots and ranks are powers of two.
std::vector<SlotRange> subtrees_of_rank(int64_t slots, int ranks, int rank);

// numbers[into] = numbers[into] + numbers[from]; from is not used again.
struct SlotMerge {
  int into = 0;
  int from = 0;
  bool operator==(const SlotMerge&) const = default;
};

// How a rank folds its slots with few gradient buffers:
//   for (const SlotStep& step : plan.steps) {
//     clear buffer[step.buffer]; run backward of step.slot into it;
//     for (const SlotMerge& merge : step.merges) buffer[merge.into] += buffer[merge.from];
//   }
// after which subtree i of subtrees_of_rank() is in buffer[plan.results[i]]. The merges of the last step may be done range by range, as the
// last backward makes ranges final (see GradientReducer::begin). A run that is one node of 2^k slots takes k + 1 buffers, the one being
// filled among them; plan.buffers says how many in general.
struct SlotStep {
  int64_t slot = 0;
  int buffer = 0;
  std::vector<SlotMerge> merges;
};
struct FoldPlan {
  std::vector<SlotStep> steps;
  std::vector<int> results;
  int buffers = 0;
};
FoldPlan plan_fold(int64_t slots, int ranks, int rank);

// How the owner of a piece adds the subtrees of all ranks. Operands are numbered through all ranks' subtrees in slot order (rank 0's
// first); after the merges, in this order, operand 0 is the sum over all slots. Empty for one rank.
std::vector<SlotMerge> combine_order(int64_t slots, int ranks);

}  // namespace mpibert
