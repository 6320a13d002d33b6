// What goes wrong between ranks is noticed, named and never a hang. After each failure the ranks meet through MPI itself.
#include <cstddef>

#include "tests/multirank/collectives.h"

namespace mpibert::test {
namespace {

using std::chrono::milliseconds;

class FailingCollectives : public testing::Test {
 protected:
  FailingCollectives() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    last = size - 1;
  }
  void TearDown() override { MPI_Barrier(MPI_COMM_WORLD); }

  // Comes late to nothing but its start, so that a loaded machine does not fail the test.
  std::unique_ptr<MpiCommunicator> make(milliseconds timeout) {
    MPI_Barrier(MPI_COMM_WORLD);
    return std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, MpiOptions{.timeout = timeout});
  }
  std::string communication_error(const auto& call) { return error_of(ErrorKind::kCommunication, call); }

  int rank = 0, size = 1, last = 0;
};

constexpr milliseconds kShort{1000};
constexpr milliseconds kLong{60000};

TEST_F(FailingCollectives, TheRankThatDoesNotComeIsNamed) {
  const auto comm = make(kShort);
  if (rank == last) return;
  const std::string text = communication_error([&] { comm->barrier("end of epoch"); });
  EXPECT_PRED2(contains, text, "collective #2 'end of epoch' (barrier of 0 bytes) did not finish within 1000 ms on rank ");
  EXPECT_PRED2(contains, text, "nothing came from rank " + std::to_string(last) + ";");
}

TEST_F(FailingCollectives, TheRankWhoseGradientIsMissingIsNamed) {
  const auto comm = make(kShort);
  comm->set_slots(size);
  if (rank == last) return;
  std::vector<float> whole(static_cast<size_t>(1000 * size)), piece(1000);
  const Tensor gradient = host_tensor(std::span(whole), {1000 * size});
  const std::string text = communication_error([&] {
    comm->reduce_scatter(std::span(&gradient, 1), host_tensor(std::span(piece), {1000}), Reduction::kExact, "gradients");
    comm->wait();
  });
  EXPECT_PRED2(contains, text, "'gradients' (reduce_scatter of ");
  EXPECT_PRED2(contains, text, "nothing came from rank " + std::to_string(last) + ";");
}

TEST_F(FailingCollectives, TheRankWhoseValuesAreMissingIsNamed) {
  const auto comm = make(kShort);
  if (rank == last) return;
  std::vector<float> all(static_cast<size_t>(1000 * size));
  const Tensor values = host_tensor(std::span(all), {1000 * size});
  const std::string text = communication_error([&] {
    comm->all_gather(values.elements(rank * 1000, (rank + 1) * 1000), values, "parameters");
    comm->wait();
  });
  EXPECT_PRED2(contains, text, "'parameters' (all_gather of 4000 bytes)");
  EXPECT_PRED2(contains, text, "nothing came from rank " + std::to_string(last) + ";");
}

TEST_F(FailingCollectives, NothingWorksAfterAFailure) {
  const auto comm = make(kShort);
  if (rank == last) return;
  communication_error([&] { comm->barrier("first"); });
  const std::string text = communication_error([&] { comm->all_gather_bytes({}, "second"); });
  EXPECT_PRED2(contains, text, "not usable after an earlier failure: collective #2 'first'");
}

TEST_F(FailingCollectives, ACommunicatorThatNotAllMakeTimesOut) {
  if (rank == last) MPI_Barrier(MPI_COMM_WORLD);  // the others have given up
  const std::string text = communication_error([] { MpiCommunicator(MPI_COMM_WORLD, {.timeout = milliseconds(300)}); });
  if (rank != last) {
    EXPECT_PRED2(contains, text, "the communicator was not made within 300 ms");
    MPI_Barrier(MPI_COMM_WORLD);
  } else {
    EXPECT_PRED2(contains, text, "collective #1 'start of the communicator'");
  }
}

// All ranks notice at once, long before the time is up.
TEST_F(FailingCollectives, DifferentNamesAreNoticed) {
  const auto comm = make(kLong);
  const std::string text = communication_error([&] { comm->barrier(rank == 0 ? "save" : "evaluate"); });
  EXPECT_PRED2(contains, text, "ranks disagree on what to do");
  EXPECT_PRED2(contains, text, "collective #2 'save'");
  EXPECT_PRED2(contains, text, "collective #2 'evaluate'");
}

TEST_F(FailingCollectives, DifferentKindsAreNoticed) {
  const auto comm = make(kLong);
  std::vector<int64_t> number = {1};
  const std::string text = communication_error([&] { rank == 0 ? comm->barrier("x") : comm->all_reduce(number, ReduceOp::kSum, "x"); });
  EXPECT_PRED2(contains, text, "'x' (barrier of 0 bytes)");
  EXPECT_PRED2(contains, text, "'x' (all_reduce of 8 bytes)");
}

TEST_F(FailingCollectives, DifferentLengthsRootsAndOperationsAreNoticed) {
  std::vector<int64_t> numbers(3);
  auto comm = make(kLong);
  std::string text = communication_error([&] { comm->all_reduce(std::span(numbers).first(rank == 0 ? 3 : 2), ReduceOp::kSum, "x"); });
  EXPECT_PRED2(contains, text, "all_reduce of 24 bytes");
  EXPECT_PRED2(contains, text, "all_reduce of 16 bytes");
  comm = make(kLong);
  text = communication_error([&] { comm->gather_bytes({}, rank == 0 ? 0 : 1, "x"); });
  EXPECT_PRED2(contains, text, "root 0)");
  EXPECT_PRED2(contains, text, "root 1)");
  comm = make(kLong);
  text = communication_error([&] { comm->all_reduce(numbers, rank == 0 ? ReduceOp::kMax : ReduceOp::kMin, "x"); });
  EXPECT_PRED2(contains, text, "ranks disagree");
}

TEST_F(FailingCollectives, ASkippedCollectiveIsNoticed) {
  const auto comm = make(kLong);
  const std::string text = communication_error([&] {
    if (rank != 0) comm->barrier("only some");
    comm->barrier("all");
  });
  EXPECT_PRED2(contains, text, "#2 'only some'");
  EXPECT_PRED2(contains, text, "#2 'all'");
}

// Of a started collective a rank hears from one neighbour: those that do not differ from theirs run into the time limit, or see who failed.
TEST_F(FailingCollectives, StartedCollectivesThatDifferAreNoticedByNeighbours) {
  const auto comm = make(kShort);
  comm->set_slots(rank == 0 ? size : size + 1);
  std::vector<std::vector<float>> slots(2, std::vector<float>(static_cast<size_t>(1000 * size)));
  std::vector<float> piece(1000);
  std::vector<Tensor> subtrees;
  for (size_t i = 0; i < subtrees_of_rank(rank == 0 ? size : size + 1, size, rank).size(); ++i) {
    subtrees.push_back(host_tensor(std::span(slots[i]), {1000 * size}));
  }
  const std::string text = communication_error([&] {
    comm->reduce_scatter(subtrees, host_tensor(std::span(piece), {1000}), Reduction::kExact, "gradients");
    comm->wait();
    comm->barrier("after");
  });
  if (rank <= 1) {
    EXPECT_PRED2(contains, text, "exact over " + std::to_string(size) + " slots");
    EXPECT_PRED2(contains, text, "exact over " + std::to_string(size + 1) + " slots");
  }
}

}  // namespace
}  // namespace mpibert::test
