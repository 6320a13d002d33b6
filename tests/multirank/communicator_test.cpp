// Collectives against closed forms that differ by rank and element.
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "comm/rank_0.h"
#include "mpibert/comm/communicator.h"
#include "tests/multirank/collectives.h"

namespace mpibert::test {
namespace {

// Each law holds whether messages are whole or cut.
class Collectives : public testing::TestWithParam<bool> {
 protected:
  MpiCommunicator comm{MPI_COMM_WORLD, GetParam() ? short_messages() : patient()};
  const int rank = comm.rank(), size = comm.size();
};
INSTANTIATE_TEST_SUITE_P(Messages, Collectives, testing::Bool(), [](const auto& i) { return i.param ? "Short" : "Whole"; });

std::vector<std::byte> bytes_of_rank(int rank, size_t n) {
  std::vector<std::byte> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(static_cast<size_t>(7 * rank) + 3 * i);
  return bytes;
}

TEST_P(Collectives, RanksOfThisHostAreAllRanksHere) {
  int world_rank = -1, world_size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size);
  EXPECT_EQ(rank, world_rank);
  EXPECT_EQ(size, world_size);
  EXPECT_EQ(comm.local_rank(), world_rank);
  EXPECT_EQ(comm.local_size(), world_size);
}

TEST_P(Collectives, AllReduceOfIntegers) {
  for (const size_t n : {size_t{0}, size_t{1}, size_t{16}, size_t{17}, size_t{1000}}) {
    std::vector<int64_t> sum(n), greatest(n), least(n);
    for (size_t i = 0; i < n; ++i) sum[i] = greatest[i] = least[i] = (rank + 1) * (static_cast<int64_t>(i) - 5);
    comm.all_reduce(sum, ReduceOp::kSum, "sum");
    comm.all_reduce(greatest, ReduceOp::kMax, "max");
    comm.all_reduce(least, ReduceOp::kMin, "min");
    for (size_t i = 0; i < n; ++i) {
      const int64_t k = static_cast<int64_t>(i) - 5;
      ASSERT_EQ(sum[i], k * size * (size + 1) / 2);
      ASSERT_EQ(greatest[i], std::max(k, k * size));
      ASSERT_EQ(least[i], std::min(k, k * size));
    }
  }
}

TEST_P(Collectives, AllReduceOfDoublesAddsInOrderOfRank) {
  std::vector<double> numbers(40);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::pow(10.0, 9.0 * rank) / static_cast<double>(i + 3);
  comm.all_reduce(numbers, ReduceOp::kSum, "norms");
  for (size_t i = 0; i < numbers.size(); ++i) {
    double expected = 0;
    for (int r = 0; r < size; ++r) expected += std::pow(10.0, 9.0 * r) / static_cast<double>(i + 3);
    ASSERT_EQ(numbers[i], expected);
  }
}

TEST_P(Collectives, SumOfNumbersThatOneRankHas) {
  std::vector<double> numbers(1003);
  for (size_t i = static_cast<size_t>(rank); i < numbers.size(); i += static_cast<size_t>(size))
    numbers[i] = 1.0 / static_cast<double>(i + 1);
  comm.sum(host_tensor(std::span(numbers), {1003}), "squares");
  comm.join();
  for (size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], 1.0 / static_cast<double>(i + 1));
}

TEST_P(Collectives, ANaNOfAnyRankIsSeenByAll) {
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
    for (int source = 0; source < size; ++source) {
      std::vector<double> number = {rank == source ? std::numeric_limits<double>::quiet_NaN() : 1.0};
      comm.all_reduce(number, op, "finite?");
      EXPECT_TRUE(std::isnan(number[0]));
    }
  }
}

TEST_P(Collectives, BroadcastFromEveryRoot) {
  for (int root = 0; root < size; ++root) {
    std::vector<float> numbers(1001);
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i) + 10000.0f * static_cast<float>(rank);
    comm.broadcast(host_tensor(std::span(numbers), {1001}), root, "weights");
    for (size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<float>(i) + 10000.0f * static_cast<float>(root));
  }
}

TEST_P(Collectives, BytesOfAnyLengthAreGathered) {
  const auto length = [](int r) { return static_cast<size_t>(r == 1 ? 0 : 3 + 700 * r); };
  const auto check = [&](const std::vector<std::vector<std::byte>>& gathered) {
    ASSERT_EQ(gathered.size(), static_cast<size_t>(size));
    for (int r = 0; r < size; ++r) EXPECT_EQ(gathered[static_cast<size_t>(r)], bytes_of_rank(r, length(r)));
  };
  check(comm.all_gather_bytes(bytes_of_rank(rank, length(rank)), "names"));
  for (int root = 0; root < size; ++root) {
    const auto gathered = comm.gather_bytes(bytes_of_rank(rank, length(rank)), root, "state");
    if (rank == root) check(gathered);
    if (rank != root) {
      EXPECT_TRUE(gathered.empty());
    }
  }
}

TEST_P(Collectives, AllGatherOfFloatsAndBFloat16) {
  const int64_t n = 333;
  std::vector<float> piece(static_cast<size_t>(n)), all(static_cast<size_t>(n * size), -1);
  std::vector<bfloat16> all16(all.size());
  const auto number = [&](int r, int64_t i) { return static_cast<float>((r * 31 + i) % 128); };  // exact in bf16
  for (int64_t i = 0; i < n; ++i) {
    piece[static_cast<size_t>(i)] = number(rank, i);
    all16[static_cast<size_t>(rank * n + i)] = bfloat16(number(rank, i));
  }
  const Tensor whole16 = host_tensor(std::span(all16), {n * size});
  comm.all_gather(host_tensor(std::span(piece), {n}), host_tensor(std::span(all), {n * size}), "apart");
  comm.all_gather(whole16.elements(rank * n, (rank + 1) * n), whole16, "in place");
  comm.wait();
  for (int64_t k = 0; k < n * size; ++k) {
    const float expected = number(static_cast<int>(k / n), k % n);
    ASSERT_EQ(all[static_cast<size_t>(k)], expected);
    ASSERT_EQ(static_cast<float>(all16[static_cast<size_t>(k)]), expected);
  }
}

TEST_P(Collectives, FastReduceScatter) {
  const int64_t n = 77;
  std::vector<float> whole(static_cast<size_t>(n * size)), piece(static_cast<size_t>(n));
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<float>(rank + 1) * static_cast<float>(i);  // exact in any order
  const Tensor gradient = host_tensor(std::span(whole), {n * size});
  comm.reduce_scatter(std::span(&gradient, 1), host_tensor(std::span(piece), {n}), Reduction::kFast, "gradients");
  comm.wait();
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(piece[static_cast<size_t>(i)], static_cast<float>((rank * n + i) * size * (size + 1) / 2));
}

TEST_P(Collectives, WaitingOnesPassThoseUnderWay) {
  const int64_t n = 5000;
  comm.set_slots(size);
  std::vector<std::vector<float>> sums(6, std::vector<float>(static_cast<size_t>(n)));
  std::vector<float> whole(static_cast<size_t>(n * size), static_cast<float>(rank + 1));
  const Tensor gradient = host_tensor(std::span(whole), {n * size});
  for (std::vector<float>& sum : sums) {
    comm.reduce_scatter(std::span(&gradient, 1), host_tensor(std::span(sum), {n}), Reduction::kExact, "gradients");
    std::vector<int64_t> one = {1};
    comm.all_reduce(one, ReduceOp::kSum, "count");
    EXPECT_EQ(one[0], size);
    comm.progress();
  }
  comm.wait();
  for (const std::vector<float>& sum : sums) {
    EXPECT_EQ(std::count(sum.begin(), sum.end(), static_cast<float>(size * (size + 1) / 2)), n);
  }
}

TEST_P(Collectives, ManyInARowKeepTheirPlace) {
  for (int64_t k = 0; k < 5000; ++k) {  // tags repeat after 2047
    std::vector<int64_t> number = {k * (rank + 1)};
    comm.all_reduce(number, ReduceOp::kMax, "many");
    ASSERT_EQ(number[0], k * size);
  }
}

TEST_P(Collectives, ArgumentsAreCheckedBeforeAnythingIsSent) {
  std::vector<float> numbers(static_cast<size_t>(8 * size));
  std::vector<bfloat16> small(8);
  const Tensor whole = host_tensor(std::span(numbers), {8 * size}), piece = whole.elements(0, 8);
  const auto text_of = [&](const auto& call) { return error_of(ErrorKind::kInvalidArgument, call); };
  const auto reduce = [&](const Tensor& from, const Tensor& to, Reduction reduction) {
    comm.reduce_scatter(std::span(&from, 1), to, reduction, "g");
  };
  EXPECT_PRED2(contains, text_of([&] { reduce(whole, piece, Reduction::kExact); }), "number of slots must be set");
  EXPECT_PRED2(contains, text_of([&] { comm.set_slots(size - 1); }), "slots are too few for");
  EXPECT_PRED2(contains, text_of([&] { reduce(whole, whole.elements(0, 7), Reduction::kFast); }), "a piece of 7 fp32 needs subtrees of");
  EXPECT_PRED2(contains, text_of([&] { reduce(whole, host_tensor(std::span(small), {8}), Reduction::kFast); }), "sums are fp32, not bf16");
  EXPECT_PRED2(contains, text_of([&] { comm.reduce_scatter({}, piece, Reduction::kFast, "g"); }), "0 subtrees given, 1 expected");
  EXPECT_PRED2(contains, text_of([&] { comm.all_gather(whole.elements(0, 7), whole, "v"); }), "pieces of 7 fp32 do not make");
  EXPECT_PRED2(contains, text_of([&] { comm.broadcast(whole, size, "w"); }), "is not one of");
  EXPECT_PRED2(contains, text_of([&] { comm.gather_bytes({}, -1, "b"); }), "root -1 is not one of");
  const Tensor elsewhere(numbers.data(), DType::kFloat32, {8}, {DeviceType::kCuda, 0});
  EXPECT_PRED2(contains, text_of([&] { comm.broadcast(elsewhere, 0, "w"); }), "tensors of the host only");
  EXPECT_PRED2(contains, text_of([] { MpiCommunicator(MPI_COMM_WORLD, {.timeout = std::chrono::milliseconds(0)}); }),
               "timeout of collectives");
  comm.barrier("still usable");
}

TEST_P(Collectives, WhatRankZeroMakesOrThrowsComesToAllRanks) {
  const auto made = [&](const std::string& text) {
    return from_rank_0(comm, "text", [&] {
      EXPECT_EQ(rank, 0) << "others make nothing";
      return text;
    });
  };
  for (const std::string& text : {std::string(), std::string("a line\n"), std::string("\0\x05 zero and five", 16)})
    EXPECT_EQ(made(text), text);
  EXPECT_EQ(error_of(ErrorKind::kBusy, [&] { on_rank_0(comm, "lock", [] { throw Error(ErrorKind::kBusy, "it is taken"); }); }),
            "it is taken");
  EXPECT_EQ(error_of(ErrorKind::kUsage, [&] { on_rank_0(comm, "flag", [] { throw Error(ErrorKind::kUsage, ""); }); }), "");
  comm.barrier("still usable");
}

TEST(MakeCommunicator, IsTheWholeJobOnTheHost) {
  const std::unique_ptr<Backend> backend = make_backend({});
  const std::unique_ptr<Communicator> comm = make_communicator(*backend, std::chrono::seconds(60));
  std::vector<int64_t> ranks = {comm->rank()};
  comm->all_reduce(ranks, ReduceOp::kSum, "ranks");
  EXPECT_EQ(ranks[0], comm->size() * (comm->size() - 1) / 2);
}

}  // namespace
}  // namespace mpibert::test
