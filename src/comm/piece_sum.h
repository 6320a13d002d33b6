#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mpibert/comm/slot_tree.h"

namespace mpibert {

// The sum of several arrays in the order of a slot tree: every element by the same additions, whatever the length and the thread count.
class PieceSum {
 public:
  // merges over operands 0 .. operands - 1, as combine_order() gives them; operand 0 is the sum in the end.
  PieceSum(int operands, const std::vector<SlotMerge>& merges);
  int operands() const { return operands_; }

  // sum[i] = the operands' [i] added in order, 0 <= i < n. The operands are only read; sum may be one of them.
  void add(std::span<const float* const> operands, int64_t n, float* sum) const;

 private:
  struct Step {  // numbers below operands() are operands, from there on temporaries
    int left, right, out;
  };

  void add_block(std::span<const float* const> operands, int64_t begin, int64_t end, float* sum) const;

  int operands_;
  std::vector<Step> steps_;  // the last one writes to the sum
};

}  // namespace mpibert
