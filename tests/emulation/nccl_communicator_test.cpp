// The NCCL communicator, its ranks with an emulated card each: its sums have the bits of MPI's.

#include <optional>

#include "mpibert/comm/gradient_reducer.h"
#include "tests/emulation/nccl_test.h"
#include "tests/emulation/streams.h"

namespace mpibert::test {
namespace {

// Each law also holds when streams run as late as they may: who does not wait for what it reads then reads NaN.
class NcclCollectives : public NcclTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) late.emplace();
  }
  void TearDown() override {
    late.reset();
    NcclTest::TearDown();
  }
  // As `t`, written by work that the backend has only queued.
  Tensor queued(const Tensor& t) {
    memory_.push_back(backend->allocate(t.bytes()));
    const Tensor copy = memory_.back().view(t.dtype(), t.shape());
    backend->copy(t, copy);
    return copy;
  }
  std::optional<emulation::LateStreams> late;
};
INSTANTIATE_TEST_SUITE_P(Streams, NcclCollectives, testing::Bool(), [](const auto& i) { return i.param ? "Late" : "Early"; });

// Without levels, and on nodes of as many ranks: with four, two nodes of two.
TEST_P(NcclCollectives, ExactPiecesHaveTheBitsOfTheTree) {
  for (const int ranks_per_node : {0, 1, 2, 3}) {
    const auto comm = make(kLong, ranks_per_node);
    EXPECT_EQ(contains(comm->transport(), "exact sums first inside"),
              ranks_per_node > 1 && size > ranks_per_node && size % ranks_per_node == 0)
        << comm->transport();
    for (const int64_t slots : {int64_t{4}, int64_t{5}, int64_t{8}, int64_t{18}, int64_t{23}}) {
      if (slots < size) continue;
      comm->set_slots(slots);
      std::vector<std::pair<Tensor, int64_t>> sums;
      for (const int64_t n : {int64_t{4111}, int64_t{1}, int64_t{512}}) {  // under way together
        std::vector<Tensor> mine;
        for (const Tensor& subtree : subtrees(slots, n * size)) mine.push_back(queued(subtree));
        sums.emplace_back(empty(n), n);
        comm->reduce_scatter(mine, sums.back().first, Reduction::kExact, "gradients");
        comm->progress();
      }
      comm->wait();
      for (const auto& [sum, n] : sums)
        EXPECT_EQ(different_bits(sum, slots, rank * n), 0) << slots << " slots, pieces of " << n << ", nodes of " << ranks_per_node;
    }
  }
}

// Six ranks on three nodes, as far as the plan goes; the layouts that are none.
TEST(NodeLayouts, AreRanksInARowAsManyEach) {
  const auto found = [](const std::vector<int>& hosts, int rank) {
    const cuda::NodeLayout layout = cuda::find_nodes(hosts, rank);
    return std::vector<int>{layout.nodes, layout.ranks, layout.node, layout.local};
  };
  EXPECT_EQ(found({0, 0, 2, 2, 4, 4}, 3), (std::vector<int>{3, 2, 1, 1}));
  EXPECT_EQ(found({0, 1, 2}, 2), (std::vector<int>{3, 1, 2, 0}));
  EXPECT_EQ(found({0, 0, 0}, 2), (std::vector<int>{1, 3, 0, 2}));
  for (const std::vector<int>& hosts : {std::vector<int>{0, 0, 2, 3}, {0, 1, 0, 1}, {0, 0, 2, 2, 2, 2}, {0, 0, 2, 2, 0, 0}, {0, 0, 0, 3}})
    EXPECT_EQ(found(hosts, 1), (std::vector<int>{1, static_cast<int>(hosts.size()), 0, 1}));
}

TEST_P(NcclCollectives, FastReduceScatter) {
  const auto comm = make();
  const int64_t n = 77;
  std::vector<float> whole(static_cast<size_t>(n * size));
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<float>(rank + 1) * static_cast<float>(i);  // exact in any order
  const Tensor gradient = queued(device(whole)), piece = empty(n);
  comm->reduce_scatter(std::span(&gradient, 1), piece, Reduction::kFast, "gradients");
  comm->wait();
  const std::vector<float> sums = read(piece);
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(sums[static_cast<size_t>(i)], static_cast<float>((rank * n + i) * size * (size + 1) / 2));
}

TEST_P(NcclCollectives, AllGatherOfFloatsAndBFloat16) {
  const auto comm = make();
  const int64_t n = 333;
  const auto number = [&](int r, int64_t i) { return static_cast<float>((r * 31 + i) % 128); };  // exact in bf16
  std::vector<float> piece(static_cast<size_t>(n));
  std::vector<bfloat16> whole16(static_cast<size_t>(n * size));
  for (int64_t i = 0; i < n; ++i) {
    piece[static_cast<size_t>(i)] = number(rank, i);
    whole16[static_cast<size_t>(rank * n + i)] = bfloat16(number(rank, i));
  }
  const Tensor all = empty(n * size), all16 = device(whole16);
  comm->all_gather(queued(device(piece)), all, "apart");
  comm->all_gather(all16.elements(rank * n, (rank + 1) * n), all16, "in place");
  comm->wait();
  const std::vector<float> found = read(all);
  const std::vector<bfloat16> found16 = read<bfloat16>(all16);
  for (int64_t k = 0; k < n * size; ++k) {
    const float expected = number(static_cast<int>(k / n), k % n);
    ASSERT_EQ(found[static_cast<size_t>(k)], expected);
    ASSERT_EQ(static_cast<float>(found16[static_cast<size_t>(k)]), expected);
  }
}

TEST_P(NcclCollectives, SumOfNumbersThatOneRankHas) {
  const auto comm = make();
  const int64_t n = 1003;
  std::vector<double> mine(static_cast<size_t>(n));
  for (int64_t i = rank; i < n; i += size) mine[static_cast<size_t>(i)] = 1.0 / static_cast<double>(i + 1);
  const Tensor numbers = queued(device(mine));
  comm->sum(numbers, "sums of squares");
  comm->join();
  const Tensor copy = queued(numbers);  // by the backend, without a wait of the host
  const std::vector<double> found = read<double>(copy);
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(found[static_cast<size_t>(i)], 1.0 / static_cast<double>(i + 1));
  comm->wait();
}

TEST_P(NcclCollectives, BroadcastFromEveryRoot) {
  const auto comm = make();
  for (int root = 0; root < size; ++root) {
    const Tensor t = queued(device(std::vector<float>(101, static_cast<float>(rank + 1))));
    comm->broadcast(t, root, "weights");
    EXPECT_EQ(read(t), std::vector<float>(101, static_cast<float>(root + 1)));
  }
}

// Owned pieces, ready offsets that differ by rank, sums of the host in between: what the trainer does.
TEST_P(NcclCollectives, StepsOfTheGradientReducer) {
  const auto comm = make();
  const int64_t slots = 6, n = padded_size(50001, size), bucket = kPieceMultiple * size;
  comm->set_slots(slots);
  const Tensor owned = empty(n / size), values = empty(n);
  GradientReducer reducer(*comm, owned, bucket);
  size_t bytes = 0;
  for (int step = 0; step < 2; ++step) {
    const std::vector<Tensor> mine = subtrees(slots, n);
    const size_t before = backend->allocated_bytes();
    reducer.begin(mine);
    for (int64_t offset = n; offset > 0; offset -= 7001 + 13 * rank) reducer.ready_from(offset);
    reducer.finish();
    std::vector<int64_t> one = {1};
    comm->all_reduce(one, ReduceOp::kSum, "count");
    EXPECT_EQ(one[0], size);
    for (const OwnedPiece& piece : owned_pieces(n, bucket, rank, size)) {
      const Tensor sum = owned.elements(piece.local, piece.local + piece.end - piece.begin);
      EXPECT_EQ(different_bits(sum, slots, piece.begin), 0);
      backend->copy(sum, values.elements(piece.begin, piece.end));
    }
    reducer.publish(values);
    EXPECT_EQ(different_bits(values, slots, 0), 0);
    if (step > 0) {
      EXPECT_EQ(backend->allocated_bytes(), before) << "only the first step may allocate";
    }
    bytes = before;
  }
  EXPECT_GT(bytes, 0u);
}

TEST_P(NcclCollectives, TensorsOfTheHostGoOverMpi) {
  const auto comm = make();
  comm->set_slots(size);
  std::vector<float> whole(static_cast<size_t>(8 * size), static_cast<float>(rank + 1)), piece(8), all(whole.size());
  const Tensor gradient = host_tensor(std::span(whole), {8 * size}), sum = host_tensor(std::span(piece), {8});
  comm->reduce_scatter(std::span(&gradient, 1), sum, Reduction::kExact, "gradients");
  comm->wait();
  EXPECT_EQ(piece, std::vector<float>(8, static_cast<float>(size * (size + 1) / 2)));
  comm->all_gather(sum, host_tensor(std::span(all), {8 * size}), "parameters");
  comm->wait();
  EXPECT_EQ(all.back(), piece.back());
  comm->broadcast(gradient, last, "weights");
  EXPECT_EQ(whole.front(), static_cast<float>(size));
}

TEST_F(NcclTest, ArgumentsAreCheckedBeforeAnythingIsSent) {
  const auto comm = make();
  const Tensor whole = empty(8 * size), piece = whole.elements(0, 8);
  std::vector<float> numbers(static_cast<size_t>(8 * size));
  const Tensor host = host_tensor(std::span(numbers), {8 * size});
  const auto text_of = [&](const auto& call) { return error_of(ErrorKind::kInvalidArgument, call); };
  EXPECT_PRED2(contains, text_of([&] { comm->reduce_scatter(std::span(&whole, 1), piece, Reduction::kExact, "g"); }),
               "number of slots must be set");
  EXPECT_PRED2(contains, text_of([&] { comm->reduce_scatter(std::span(&host, 1), piece, Reduction::kFast, "g"); }),
               "expected tensors of cuda:0 only");
  EXPECT_PRED2(contains, text_of([&] { comm->all_gather(whole.elements(0, 7), whole, "v"); }), "pieces of 7 fp32 do not make");
  EXPECT_PRED2(contains, text_of([&] { comm->broadcast(whole, size, "w"); }), "is not one of");
  comm->barrier("still usable");
}

}  // namespace
}  // namespace mpibert::test
