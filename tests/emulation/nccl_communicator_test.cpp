// The NCCL communicator, its ranks with an emulated card each: its sums have the bits of MPI's, and whatever goes wrong ends every rank with a message.

#include "comm/cuda/nccl_communicator.h"

#include <optional>

#include "mpibert/comm/gradient_reducer.h"
#include "mpibert/comm/slot_tree.h"
#include "tests/emulation/nccl_faults.h"
#include "tests/emulation/streams.h"
#include "tests/multirank/collectives.h"

namespace mpibert::test {
namespace {

using emulation::NcclFaultKind;
using std::chrono::milliseconds;

constexpr milliseconds kShort{1500}, kLong{60000};
constexpr Device kCard{DeviceType::kCuda, 0};

class NcclTest : public testing::Test {
 protected:
  NcclTest() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    last = size - 1;
  }
  void TearDown() override {
    emulation::set_nccl_fault({});
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQ(emulation::live_nccl_communicators(), 0);
  }

  std::unique_ptr<cuda::NcclCommunicator> make(milliseconds timeout = kLong, int ranks_per_node = 0) {
    MPI_Barrier(MPI_COMM_WORLD);
    return std::make_unique<cuda::NcclCommunicator>(*backend, std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, MpiOptions{.timeout = timeout}), timeout, ranks_per_node);
  }

  template <class T>
  Tensor device(std::vector<T> numbers) {
    const auto n = static_cast<int64_t>(numbers.size());
    const Tensor t = empty<T>(n);
    backend->upload(host_tensor(std::span(numbers), {n}), t);
    return t;
  }
  template <class T = float>
  Tensor empty(int64_t n) {
    memory_.push_back(backend->allocate(static_cast<size_t>(n) * sizeof(T)));
    return memory_.back().view(DTypeOf<T>::value, {n});
  }
  template <class T = float>
  std::vector<T> read(const Tensor& t) {
    std::vector<T> numbers(static_cast<size_t>(t.size()));
    backend->download(t, host_tensor(std::span(numbers), {t.size()}));
    return numbers;
  }

  // This rank's subtrees of so many slots, one of n numbers each.
  std::vector<Tensor> subtrees(int64_t slots, int64_t n) {
    std::vector<Tensor> tensors;
    for (const SlotRange& range : subtrees_of_rank(slots, size, rank)) {
      std::vector<float> numbers(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) numbers[static_cast<size_t>(i)] = tree_sum(range.first, range.last, i);
      tensors.push_back(device(numbers));
    }
    return tensors;
  }
  int different_bits(const Tensor& piece, int64_t slots, int64_t begin) {
    int different = 0;
    for (const float found : read(piece)) different += std::bit_cast<uint32_t>(found) != std::bit_cast<uint32_t>(tree_sum(0, slots, begin++));
    return different;
  }

  // A step as the trainer's, over whatever the test has prepared.
  void step(Communicator& comm, const std::string& what = "gradients") {
    const std::vector<Tensor> gradients = subtrees(size, 100 * size);
    const Tensor sum = empty(100), all = empty(100 * size);
    comm.set_slots(size);
    comm.reduce_scatter(gradients, sum, Reduction::kExact, what);
    comm.progress();
    comm.reduce_scatter(std::span(gradients).first(1), sum, Reduction::kFast, what + " fast");
    comm.wait();
    comm.all_gather(sum, all, "parameters");
    comm.sum(device(std::vector<double>(10, 1)), "squares");
    comm.wait();
    comm.broadcast(all, 0, "weights");
  }
  std::string communication_error(const auto& call) { return error_of(ErrorKind::kCommunication, call); }

  int rank = 0, size = 1, last = 0;
  std::unique_ptr<Backend> backend = make_backend(kCard);

  std::vector<Buffer> memory_;
};

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
    EXPECT_EQ(contains(comm->transport(), "exact sums first inside"), ranks_per_node > 1 && size > ranks_per_node && size % ranks_per_node == 0) << comm->transport();
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
      for (const auto& [sum, n] : sums) EXPECT_EQ(different_bits(sum, slots, rank * n), 0) << slots << " slots, pieces of " << n << ", nodes of " << ranks_per_node;
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
  for (const std::vector<int>& hosts : {std::vector<int>{0, 0, 2, 3}, {0, 1, 0, 1}, {0, 0, 2, 2, 2, 2}, {0, 0, 2, 2, 0, 0}, {0, 0, 0, 3}}) EXPECT_EQ(found(hosts, 1), (std::vector<int>{1, static_cast<int>(hosts.size()), 0, 1}));
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
  EXPECT_PRED2(contains, text_of([&] { comm->reduce_scatter(std::span(&whole, 1), piece, Reduction::kExact, "g"); }), "number of slots must be set");
  EXPECT_PRED2(contains, text_of([&] { comm->reduce_scatter(std::span(&host, 1), piece, Reduction::kFast, "g"); }), "expected tensors of cuda:0 only");
  EXPECT_PRED2(contains, text_of([&] { comm->all_gather(whole.elements(0, 7), whole, "v"); }), "pieces of 7 fp32 do not make");
  EXPECT_PRED2(contains, text_of([&] { comm->broadcast(whole, size, "w"); }), "is not one of");
  comm->barrier("still usable");
}

// ---- Failures

struct Case {
  const char* function;
  NcclFaultKind kind;
};

// Of a fault on one rank all ranks hear: that one at once, or when it shows; the others, which wait for it, when their time is up.
class NcclFaults : public NcclTest, public testing::WithParamInterface<Case> {};

TEST_P(NcclFaults, EndEveryRankWithAMessage) {
  const auto [function, kind] = GetParam();
  const int faulty = std::string(function) == "ncclGetUniqueId" ? 0 : last;
  if (size == 1 && (std::string(function) == "ncclSend" || std::string(function) == "ncclRecv" || std::string(function).starts_with("ncclGroup"))) return;  // none is called
  if (rank == faulty) emulation::set_nccl_fault({.function = function, .call = 1, .kind = kind});
  const auto start = std::chrono::steady_clock::now();
  const std::string text = communication_error([&] {
    const auto comm = make(kShort);
    step(*comm);
    comm->barrier("after");  // some faults reach the others only here
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  const std::string here = "on rank " + std::to_string(rank) + " of " + std::to_string(size);
  if (rank != faulty) return;
  EXPECT_PRED2(contains, text, here);
  if (kind == NcclFaultKind::kFails) {
    EXPECT_PRED2(contains, text, std::string("from ") + function + " (a fault at " + function + ")");
  } else if (kind == NcclFaultKind::kFailsLater) {
    EXPECT_PRED2(contains, text, "asynchronously (a fault that showed later)");
  } else {
    EXPECT_PRED2(contains, text, "did not finish within " + std::to_string(kShort.count()) + " ms");
  }
}

std::vector<Case> faults() {
  std::vector<Case> cases = {{"ncclGetUniqueId", NcclFaultKind::kFails}, {"ncclGroupStart", NcclFaultKind::kFails}};
  for (const char* function : {"ncclCommInitRankConfig", "ncclCommGetAsyncError", "ncclGroupEnd", "ncclSend", "ncclRecv", "ncclReduceScatter", "ncclAllReduce", "ncclAllGather", "ncclBroadcast"})
    for (const NcclFaultKind kind : {NcclFaultKind::kFails, NcclFaultKind::kFailsLater, NcclFaultKind::kNeverEnds}) cases.push_back({function, kind});
  return cases;
}
std::string fault_name(const testing::TestParamInfo<Case>& info) {
  static const std::vector<std::string> kinds = {"None", "Fails", "FailsLater", "NeverEnds"};
  return info.param.function + kinds.at(static_cast<size_t>(info.param.kind));
}
INSTANTIATE_TEST_SUITE_P(Calls, NcclFaults, testing::ValuesIn(faults()), fault_name);

// All work is done by then: a warning, no error.
TEST_F(NcclTest, AFaultAtTheEndLosesNothing) {
  for (const Case each : {Case{"ncclCommFinalize", NcclFaultKind::kFails}, Case{"ncclCommFinalize", NcclFaultKind::kFailsLater}, Case{"ncclCommFinalize", NcclFaultKind::kNeverEnds},
                          Case{"ncclCommDestroy", NcclFaultKind::kFails}}) {
    emulation::set_nccl_fault({.function = each.function, .call = 1, .kind = each.kind});
    const auto comm = make(kShort);
    step(*comm);
  }
}

TEST_F(NcclTest, NothingWorksAfterAFailure) {
  if (rank == 0) emulation::set_nccl_fault({.function = "ncclReduceScatter", .call = 1, .kind = NcclFaultKind::kFails});
  const auto comm = make(kShort);
  const std::string first = communication_error([&] { step(*comm); });
  EXPECT_PRED2(contains, communication_error([&] { comm->barrier("second"); }), "not usable after an earlier failure: " + first.substr(0, 20));
}

TEST_F(NcclTest, TheRankThatDoesNotComeIsNamed) {
  if (size == 1) return;
  const auto comm = make(kShort);
  if (rank == last) return comm->progress();
  const std::string text = communication_error([&] { step(*comm); });
  EXPECT_PRED2(contains, text, "'gradients' (reduce_scatter of " + std::to_string(400 * size) + " bytes, exact over " + std::to_string(size) + " slots)");
  EXPECT_PRED2(contains, text, "did not finish within " + std::to_string(kShort.count()) + " ms");
  if (rank == 0) {
    EXPECT_PRED2(contains, text, "nothing came from rank " + std::to_string(last) + ";");
  }
}

// What the device computes behind a collective that stands still ends neither; the host that waits for it hears of the rank that is missing.
TEST_F(NcclTest, AWaitForTheDeviceHasAnEnd) {
  if (size == 1) return;
  const auto comm = make(kShort);
  comm->set_slots(size);
  if (rank == last) return comm->progress();
  const std::vector<Tensor> gradients = subtrees(size, 100 * size);
  const Tensor sum = empty(100);
  const std::string text = communication_error([&] {
    comm->reduce_scatter(gradients, sum, Reduction::kExact, "gradients");
    comm->join();
    read(sum);
  });
  EXPECT_PRED2(contains, text, "did not finish within " + std::to_string(kShort.count()) + " ms");
}

// Found by word over MPI, long before the time is up, by the ranks whose neighbour differs: 0 and 1.
TEST_F(NcclTest, RanksThatDisagreeAreNoticed) {
  if (size == 1) return;
  const auto all_ranks = [&](const std::function<void(Communicator&)>& first, const std::function<void(Communicator&)>& others, const std::vector<std::string>& words) {
    const auto comm = make(rank > 1 ? kShort : kLong);
    comm->set_slots(size);
    const std::string text = communication_error([&] {
      (rank == 0 ? first : others)(*comm);
      comm->wait();
    });
    if (rank > 1) return;
    EXPECT_PRED2(contains, text, "ranks disagree on what to do");
    for (const std::string& word : words) EXPECT_PRED2(contains, text, word);
  };
  const Tensor whole = device(std::vector<float>(static_cast<size_t>(100 * size))), piece = empty(100);
  const auto reduce = [&](int64_t n, Reduction reduction) {
    return [=](Communicator& comm) {
      const Tensor gradient = whole.elements(0, n * comm.size());
      comm.reduce_scatter(std::span(&gradient, 1), piece.elements(0, n), reduction, "gradients");
    };
  };
  all_ranks(reduce(100, Reduction::kFast), [&](Communicator& comm) { comm.all_gather(piece, whole, "parameters"); }, {"'gradients' (reduce_scatter of", "'parameters' (all_gather of 400 bytes)"});
  all_ranks(reduce(100, Reduction::kExact), reduce(50, Reduction::kExact), {"reduce_scatter of " + std::to_string(400 * size), "reduce_scatter of " + std::to_string(200 * size)});
  all_ranks(reduce(100, Reduction::kExact), reduce(100, Reduction::kFast), {"exact over", "fast"});
  all_ranks(reduce(100, Reduction::kFast), [](Communicator& comm) { comm.barrier("end of epoch"); }, {"'gradients'", "'end of epoch' (barrier"});
}

// ---- The double itself: what it finds wrong with the calls it gets

class NcclDouble : public NcclTest {
 protected:
  void SetUp() override {
    ncclUniqueId id{};
    if (rank == 0) ncclGetUniqueId(&id);
    MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ASSERT_EQ(ncclCommInitRankConfig(&comm, size, id, rank, &config), ncclInProgress);
    ASSERT_EQ(settle(), ncclSuccess);
  }
  void TearDown() override {
    ncclCommAbort(comm);
    NcclTest::TearDown();
  }
  ncclResult_t settle() {
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress) EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
    return state;
  }
  // The state when all has ended, or after a second in which it has not.
  ncclResult_t state_in_the_end() {
    for (const auto start = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - start < std::chrono::seconds(1);)
      if (const ncclResult_t state = settle(); state != ncclSuccess || cudaStreamQuery(stream.get()) == cudaSuccess) return state;
    return ncclInProgress;
  }
  std::string words() { return ncclGetLastError(comm); }

  int next() const { return (rank + 1) % size; }
  int previous() const { return (rank + size - 1) % size; }
  ncclComm_t comm = nullptr;
  cuda::Stream stream;
};

TEST_F(NcclDouble, ACallBeforeTheLastOneIsDone) {
  const Tensor t = empty(8 * size);
  EXPECT_EQ(ncclBroadcast(t.data(), t.data(), 8, ncclFloat32, 0, comm, stream.get()), ncclInProgress);
  EXPECT_EQ(ncclBroadcast(t.data(), t.data(), 8, ncclFloat32, 0, comm, stream.get()), ncclInvalidUsage);
  EXPECT_PRED2(contains, words(), "before the last one was done");
  EXPECT_EQ(state_in_the_end(), ncclSuccess);
}

TEST_F(NcclDouble, MemoryThatIsNotTheDevices) {
  const Tensor t = empty(8);
  std::vector<float> host(static_cast<size_t>(8 * size));
  EXPECT_EQ(ncclBroadcast(host.data(), host.data(), 8, ncclFloat32, 0, comm, stream.get()), ncclInvalidArgument);
  EXPECT_EQ(ncclBroadcast(t.data(), t.data(), 9, ncclFloat32, 0, comm, stream.get()), ncclInvalidArgument);
}

TEST_F(NcclDouble, UseAfterTheEnd) {
  const Tensor t = empty(8);
  EXPECT_EQ(ncclCommDestroy(comm), ncclInvalidUsage);
  EXPECT_EQ(ncclCommFinalize(comm), ncclInProgress);
  EXPECT_EQ(settle(), ncclSuccess);
  EXPECT_EQ(ncclBroadcast(t.data(), t.data(), 8, ncclFloat32, 0, comm, stream.get()), ncclInvalidUsage);
  EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
  EXPECT_EQ(ncclBroadcast(t.data(), t.data(), 8, ncclFloat32, 0, comm, stream.get()), ncclInvalidArgument);
}

TEST_F(NcclDouble, SendsAndReceivesOfDifferentSizes) {
  const Tensor t = empty(16);
  if (size == 1) return;
  ncclGroupStart();
  EXPECT_EQ(ncclSend(t.data(), 8, ncclFloat32, next(), comm, stream.get()), ncclSuccess);
  EXPECT_EQ(ncclRecv(t.elements(8, 16).data(), 7, ncclFloat32, previous(), comm, stream.get()), ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclInProgress);
  EXPECT_EQ(state_in_the_end(), ncclInvalidUsage);
  EXPECT_PRED2(contains, words(), "expects 28 bytes of a send of rank " + std::to_string(previous()) + ", which sends 32 bytes");
}

TEST_F(NcclDouble, SendsThatAllRanksFinishFirstWaitForEver) {
  const Tensor t = empty(16);
  if (size == 1) return;
  EXPECT_EQ(ncclSend(t.data(), 8, ncclFloat32, next(), comm, stream.get()), ncclInProgress);
  EXPECT_EQ(settle(), ncclSuccess);
  EXPECT_EQ(ncclRecv(t.elements(8, 16).data(), 8, ncclFloat32, previous(), comm, stream.get()), ncclInProgress);
  EXPECT_EQ(state_in_the_end(), ncclInProgress);
}

TEST_F(NcclDouble, AReceiveWithoutASendWaitsForEver) {
  const Tensor t = empty(16);
  if (size == 1) return;
  EXPECT_EQ(ncclRecv(t.data(), 8, ncclFloat32, previous(), comm, stream.get()), ncclInProgress);
  EXPECT_EQ(state_in_the_end(), ncclInProgress);
}

}  // namespace
}  // namespace mpibert::test
