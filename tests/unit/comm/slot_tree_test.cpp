#include "mpibert/comm/slot_tree.h"

#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <string>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

// Calls law(G, R) for all small pairs.
void for_all(const std::function<void(int64_t, int)>& law) {
  for (int64_t slots = 1; slots <= 40; ++slots) {
    for (int ranks = 1; ranks <= slots; ++ranks) {
      SCOPED_TRACE("slots " + std::to_string(slots) + ", ranks " + std::to_string(ranks));
      law(slots, ranks);
    }
  }
}

// The sum of a node written out, by the definition in the header.
std::string expression(int64_t first, int64_t last) {
  if (last - first == 1) return std::to_string(first);
  int64_t half = 1;
  while (2 * half < last - first) half *= 2;
  return "(" + expression(first, first + half) + "+" + expression(first + half, last) + ")";
}

// What a rank's buffers hold after its plan: one expression a subtree.
std::vector<std::string> folded(int64_t slots, int ranks, int rank) {
  const FoldPlan plan = plan_fold(slots, ranks, rank);
  std::vector<std::string> buffers(static_cast<size_t>(plan.buffers));
  for (const SlotStep& step : plan.steps) {
    EXPECT_EQ(buffers.at(static_cast<size_t>(step.buffer)), "") << "a buffer in use is filled again";
    buffers.at(static_cast<size_t>(step.buffer)) = std::to_string(step.slot);
    for (const SlotMerge& merge : step.merges) {
      std::string& into = buffers.at(static_cast<size_t>(merge.into));
      std::string& from = buffers.at(static_cast<size_t>(merge.from));
      into = "(" + into + "+" + from + ")";
      from.clear();
    }
  }
  std::vector<std::string> sums;
  for (const int result : plan.results) sums.push_back(buffers.at(static_cast<size_t>(result)));
  return sums;
}

TEST(SlotTree, WritesOutAsTheHeaderSays) {
  EXPECT_EQ(expression(0, 6), "(((0+1)+(2+3))+(4+5))");
  EXPECT_EQ(folded(6, 1, 0).front(), "(((0+1)+(2+3))+(4+5))");
  EXPECT_EQ(folded(7, 1, 0).front(), "(((0+1)+(2+3))+((4+5)+6))");
}

TEST(SlotTree, RunsCoverAllSlotsAndAreBalanced) {
  for_all([](int64_t slots, int ranks) {
    int64_t next = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const SlotRange run = slots_of_rank(slots, ranks, rank);
      EXPECT_EQ(run.first, next);
      EXPECT_GE(run.size(), slots / ranks);
      EXPECT_LE(run.size(), (slots + ranks - 1) / ranks);
      next = run.last;
    }
    EXPECT_EQ(next, slots);
  });
}

TEST(SlotTree, SubtreesCoverTheRun) {
  for_all([](int64_t slots, int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      const SlotRange run = slots_of_rank(slots, ranks, rank);
      int64_t next = run.first;
      for (const SlotRange& subtree : subtrees_of_rank(slots, ranks, rank)) {
        EXPECT_EQ(subtree.first, next);
        next = subtree.last;
      }
      EXPECT_EQ(next, run.last);
    }
  });
}

TEST(SlotTree, PowersOfTwoGiveOneSubtreeARank) {
  for (int64_t slots = 1; slots <= 64; slots *= 2) {
    for (int ranks = 1; ranks <= slots; ranks *= 2) {
      for (int rank = 0; rank < ranks; ++rank) EXPECT_EQ(subtrees_of_rank(slots, ranks, rank).size(), 1u);
    }
  }
}

TEST(SlotTree, OneRankHoldsTheWholeSum) {
  for (int64_t slots = 1; slots <= 40; ++slots) {
    EXPECT_EQ(subtrees_of_rank(slots, 1, 0), std::vector<SlotRange>({{0, slots}}));
    EXPECT_TRUE(combine_order(slots, 1).empty());
  }
}

TEST(SlotTree, TheSumIsTheSameExpressionForEveryRankCount) {
  for_all([](int64_t slots, int ranks) {
    std::vector<std::string> operands;
    for (int rank = 0; rank < ranks; ++rank) {
      for (const std::string& sum : folded(slots, ranks, rank)) operands.push_back(sum);
    }
    for (const SlotMerge& merge : combine_order(slots, ranks)) {
      std::string& into = operands.at(static_cast<size_t>(merge.into));
      std::string& from = operands.at(static_cast<size_t>(merge.from));
      into = "(" + into + "+" + from + ")";
      from.clear();
    }
    EXPECT_EQ(operands.front(), expression(0, slots));
    for (size_t i = 1; i < operands.size(); ++i) EXPECT_EQ(operands[i], "") << "operand " << i << " was left out";
  });
}

TEST(SlotTree, FoldingTakesFewBuffers) {
  for_all([](int64_t slots, int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      const FoldPlan plan = plan_fold(slots, ranks, rank);
      const auto run = static_cast<uint64_t>(slots_of_rank(slots, ranks, rank).size());
      EXPECT_LE(plan.buffers, 2 * std::bit_width(run));
      EXPECT_EQ(plan.steps.size(), run);
      if (std::has_single_bit(static_cast<uint64_t>(slots)) && std::has_single_bit(static_cast<unsigned>(ranks))) {
        EXPECT_EQ(plan.buffers, std::bit_width(run));  // log2(G / R) + 1, the one being filled among them
      }
    }
  });
}

TEST(SlotTree, EverySlotIsComputedOnceAndInOrder) {
  for_all([](int64_t slots, int ranks) {
    int64_t next = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      for (const SlotStep& step : plan_fold(slots, ranks, rank).steps) EXPECT_EQ(step.slot, next++);
    }
    EXPECT_EQ(next, slots);
  });
}

void expect_invalid(const std::function<void()>& call, const std::string& text) {
  try {
    call();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(SlotTree, RejectsMoreRanksThanSlotsAndStrangeRanks) {
  expect_invalid([] { slots_of_rank(3, 4, 0); }, "3 slots are too few for 4 ranks");
  expect_invalid([] { plan_fold(8, 2, 2); }, "rank 2 is not one of 2 ranks");
  expect_invalid([] { subtrees_of_rank(8, 2, -1); }, "rank -1 is not one of 2 ranks");
  expect_invalid([] { combine_order(8, 0); }, "rank 0 is not one of 0 ranks");
}

}  // namespace
}  // namespace mpibert
