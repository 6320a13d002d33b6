#include "mpibert/comm/slot_tree.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

void check(int64_t slots, int ranks, int rank) {
  MPIBERT_CHECK(ranks >= 1 && rank >= 0 && rank < ranks, kInvalidArgument, "rank ", rank, " is not one of ", ranks, " ranks");
  MPIBERT_CHECK(slots >= ranks, kInvalidArgument, slots, " slots are too few for ", ranks, " ranks: every rank computes at least one");
  // Sums of up to 2 * slots numbers are indexed by int.
  MPIBERT_CHECK(slots <= std::numeric_limits<int>::max() / 2, kInvalidArgument, slots, " slots are too many");
}

int64_t middle_of(SlotRange node) { return node.first + static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(node.size() - 1))); }
SlotRange left_of(SlotRange node) { return {node.first, middle_of(node)}; }
SlotRange right_of(SlotRange node) { return {middle_of(node), node.last}; }

void collect_subtrees(SlotRange node, SlotRange run, std::vector<SlotRange>& subtrees) {
  if (node.last <= run.first || run.last <= node.first) return;
  if (run.first <= node.first && node.last <= run.last) {
    subtrees.push_back(node);
    return;
  }
  collect_subtrees(left_of(node), run, subtrees);
  collect_subtrees(right_of(node), run, subtrees);
}

// Builds a FoldPlan by walking nodes in slot order; the lowest free buffer is taken first.
class Folder {
 public:
  explicit Folder(FoldPlan& plan) : plan_(plan) {}

  int fold(SlotRange node) {
    if (node.size() == 1) {
      const int buffer = take();
      plan_.steps.push_back({.slot = node.first, .buffer = buffer, .merges = {}});
      return buffer;
    }
    const int left = fold(left_of(node));
    const int right = fold(right_of(node));
    plan_.steps.back().merges.push_back({.into = left, .from = right});
    used_[static_cast<size_t>(right)] = false;
    return left;
  }

 private:
  int take() {
    const auto free = std::find(used_.begin(), used_.end(), false);
    const auto index = free - used_.begin();
    if (free == used_.end()) used_.push_back(true);
    used_[static_cast<size_t>(index)] = true;
    plan_.buffers = static_cast<int>(used_.size());
    return static_cast<int>(index);
  }

  FoldPlan& plan_;
  std::vector<bool> used_;
};

// Returns the operand that holds the sum of the node; `operands` are nodes in slot order.
int combine(SlotRange node, const std::vector<SlotRange>& operands, std::vector<SlotMerge>& merges) {
  const auto at = std::lower_bound(operands.begin(), operands.end(), node.first,
                                   [](const SlotRange& operand, int64_t first) { return operand.first < first; });
  if (at != operands.end() && *at == node) return static_cast<int>(at - operands.begin());
  const int left = combine(left_of(node), operands, merges);
  const int right = combine(right_of(node), operands, merges);
  merges.push_back({.into = left, .from = right});
  return left;
}

}  // namespace

SlotRange slots_of_rank(int64_t slots, int ranks, int rank) {
  check(slots, ranks, rank);
  return {.first = rank * slots / ranks, .last = (rank + 1) * slots / ranks};
}

std::vector<SlotRange> subtrees_of_rank(int64_t slots, int ranks, int rank) {
  std::vector<SlotRange> subtrees;
  collect_subtrees({0, slots}, slots_of_rank(slots, ranks, rank), subtrees);
  return subtrees;
}

FoldPlan plan_fold(int64_t slots, int ranks, int rank) {
  FoldPlan plan;
  Folder folder(plan);
  for (const SlotRange& subtree : subtrees_of_rank(slots, ranks, rank)) plan.results.push_back(folder.fold(subtree));
  return plan;
}

std::vector<SlotMerge> combine_order(int64_t slots, int ranks) {
  std::vector<SlotRange> operands;
  check(slots, ranks, 0);
  for (int rank = 0; rank < ranks; ++rank) {
    for (const SlotRange& subtree : subtrees_of_rank(slots, ranks, rank)) operands.push_back(subtree);
  }
  std::vector<SlotMerge> merges;
  combine({0, slots}, operands, merges);
  return merges;
}

}  // namespace mpibert
