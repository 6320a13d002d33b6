// The exact sum has the bits of the slot tree, whatever the number of ranks.
#include <cstring>

#include "mpibert/comm/gradient_reducer.h"
#include "mpibert/comm/slot_tree.h"
#include "tests/multirank/collectives.h"

namespace mpibert::test {
namespace {

using Numbers = std::vector<float>;

void add_range(Numbers& into, const Numbers& from, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) into[static_cast<size_t>(i)] += from[static_cast<size_t>(i)];
}

// This rank's slots, folded as the plan says, but for the merges of the last step.
struct FoldedSlots {
  FoldPlan plan;
  std::vector<Numbers> buffers;

  FoldedSlots(const Communicator& comm, int64_t slots, int64_t n) : plan(plan_fold(slots, comm.size(), comm.rank())) {
    buffers.assign(static_cast<size_t>(plan.buffers), Numbers(static_cast<size_t>(n)));
    for (const SlotStep& step : plan.steps) {
      Numbers& buffer = buffers[static_cast<size_t>(step.buffer)];
      for (int64_t i = 0; i < n; ++i) buffer[static_cast<size_t>(i)] = slot_number(step.slot, i);
      if (&step != &plan.steps.back()) merge(step, 0, n);
    }
  }
  void merge(const SlotStep& step, int64_t begin, int64_t end) {
    for (const SlotMerge& m : step.merges) {
      add_range(buffers[static_cast<size_t>(m.into)], buffers[static_cast<size_t>(m.from)], begin, end);
    }
  }
  void merge_last(int64_t begin, int64_t end) { merge(plan.steps.back(), begin, end); }
  std::vector<Tensor> subtrees() {
    std::vector<Tensor> tensors;
    for (const int result : plan.results) {
      Numbers& buffer = buffers[static_cast<size_t>(result)];
      tensors.push_back(host_tensor(std::span(buffer), {static_cast<int64_t>(buffer.size())}));
    }
    return tensors;
  }
};

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(ExactReduction, AnotherOrderHasOtherBits) {  // or the tests below could not fail
  int others = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    float in_line = 0;
    for (int64_t slot = 0; slot < 18; ++slot) in_line += slot_number(slot, i);
    others += !same_bits(in_line, tree_sum(0, 18, i));
  }
  EXPECT_GT(others, 100);
}

TEST(ExactReduction, PiecesHaveTheBitsOfTheTree) {
  for (const MpiOptions& options : {patient(), short_messages()}) {
    MpiCommunicator comm(MPI_COMM_WORLD, options);
    for (const int64_t slots : {int64_t{4}, int64_t{8}, int64_t{18}, int64_t{23}}) {
      const int64_t piece = 4111, n = piece * comm.size();
      comm.set_slots(slots);
      FoldedSlots mine(comm, slots, n);
      mine.merge_last(0, n);
      Numbers sum(static_cast<size_t>(piece));
      comm.reduce_scatter(mine.subtrees(), host_tensor(std::span(sum), {piece}), Reduction::kExact, "gradients");
      comm.wait();
      for (int64_t i = 0; i < piece; ++i) {
        ASSERT_PRED2(same_bits, sum[static_cast<size_t>(i)], tree_sum(0, slots, comm.rank() * piece + i))
            << slots << " slots, element " << i;
      }
    }
  }
}

// The whole step: ready offsets at odd places, merges of the last slot bucket by bucket, values published in fp32 or bf16.
template <class Value>
void run_step(int64_t slots, int64_t parameters, int64_t bucket_pieces) {
  MpiCommunicator comm(MPI_COMM_WORLD, patient());
  comm.set_slots(slots);
  const int64_t n = padded_size(parameters, comm.size()), bucket = bucket_pieces * kPieceMultiple * comm.size();
  Numbers owned(static_cast<size_t>(n / comm.size()));
  GradientReducer reducer(comm, host_tensor(std::span(owned), {n / comm.size()}), bucket);
  for (int step = 0; step < 2; ++step) {
    FoldedSlots mine(comm, slots, n);
    reducer.begin(mine.subtrees(), [&](int64_t begin, int64_t end) { mine.merge_last(begin, end); });
    for (int64_t offset = n; offset > 0; offset -= 7001 + 13 * comm.rank()) {  // ranks need not be at the same place
      reducer.ready_from(offset);
      reducer.progress();
    }
    reducer.finish();
    std::vector<Value> values(static_cast<size_t>(n));
    for (const OwnedPiece& piece : owned_pieces(n, bucket, comm.rank(), comm.size())) {
      for (int64_t i = piece.begin; i < piece.end; ++i) {
        const float sum = owned[static_cast<size_t>(piece.local + i - piece.begin)];
        ASSERT_PRED2(same_bits, sum, tree_sum(0, slots, i)) << "element " << i;
        values[static_cast<size_t>(i)] = Value(sum);
      }
    }
    reducer.publish(host_tensor(std::span(values), {n}));
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_PRED2(same_bits, static_cast<float>(values[static_cast<size_t>(i)]), static_cast<float>(Value(tree_sum(0, slots, i))));
    }
  }
}

TEST(ExactReduction, StepsOfManyBuckets) { run_step<float>(8, 150001, 1); }
TEST(ExactReduction, StepsOfOddSlotsAndPublishedBFloat16) { run_step<bfloat16>(18, 99999, 3); }
TEST(ExactReduction, StepsOfOneBucket) { run_step<float>(4, 77, 100); }

}  // namespace
}  // namespace mpibert::test
