// Whatever goes wrong with NCCL ends every rank with a message.

#include "tests/emulation/nccl_test.h"

namespace mpibert::test {
namespace {

using emulation::NcclFaultKind;

struct Case {
  const char* function;
  NcclFaultKind kind;
};

// Of a fault on one rank all ranks hear: that one at once, or when it shows; the others, which wait for it, when their time is up.
class NcclFaults : public NcclTest, public testing::WithParamInterface<Case> {};

TEST_P(NcclFaults, EndEveryRankWithAMessage) {
  const auto [function, kind] = GetParam();
  const int faulty = std::string(function) == "ncclGetUniqueId" ? 0 : last;
  if (size == 1 &&
      (std::string(function) == "ncclSend" || std::string(function) == "ncclRecv" || std::string(function).starts_with("ncclGroup")))
    return;  // none is called
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
  for (const char* function : {"ncclCommInitRankConfig", "ncclCommGetAsyncError", "ncclGroupEnd", "ncclSend", "ncclRecv",
                               "ncclReduceScatter", "ncclAllReduce", "ncclAllGather", "ncclBroadcast"})
    for (const NcclFaultKind kind : {NcclFaultKind::kFails, NcclFaultKind::kFailsLater, NcclFaultKind::kNeverEnds})
      cases.push_back({function, kind});
  return cases;
}
std::string fault_name(const testing::TestParamInfo<Case>& info) {
  static const std::vector<std::string> kinds = {"None", "Fails", "FailsLater", "NeverEnds"};
  return info.param.function + kinds.at(static_cast<size_t>(info.param.kind));
}
INSTANTIATE_TEST_SUITE_P(Calls, NcclFaults, testing::ValuesIn(faults()), fault_name);

// All work is done by then: a warning, no error.
TEST_F(NcclTest, AFaultAtTheEndLosesNothing) {
  for (const Case each : {Case{"ncclCommFinalize", NcclFaultKind::kFails}, Case{"ncclCommFinalize", NcclFaultKind::kFailsLater},
                          Case{"ncclCommFinalize", NcclFaultKind::kNeverEnds}, Case{"ncclCommDestroy", NcclFaultKind::kFails}}) {
    emulation::set_nccl_fault({.function = each.function, .call = 1, .kind = each.kind});
    const auto comm = make(kShort);
    step(*comm);
  }
}

TEST_F(NcclTest, NothingWorksAfterAFailure) {
  if (rank == 0) emulation::set_nccl_fault({.function = "ncclReduceScatter", .call = 1, .kind = NcclFaultKind::kFails});
  const auto comm = make(kShort);
  const std::string first = communication_error([&] { step(*comm); });
  EXPECT_PRED2(contains, communication_error([&] { comm->barrier("second"); }),
               "not usable after an earlier failure: " + first.substr(0, 20));
}

TEST_F(NcclTest, TheRankThatDoesNotComeIsNamed) {
  if (size == 1) return;
  const auto comm = make(kShort);
  if (rank == last) return comm->progress();
  const std::string text = communication_error([&] { step(*comm); });
  EXPECT_PRED2(contains, text,
               "'gradients' (reduce_scatter of " + std::to_string(400 * size) + " bytes, exact over " + std::to_string(size) + " slots)");
  EXPECT_PRED2(contains, text, "did not finish within " + std::to_string(kShort.count()) + " ms");
  if (rank == 0) {
    EXPECT_PRED2(contains, text, "nothing came from rank " + std::to_string(last) + ";");
  }
}

// What the device computes behind a collective that stands still ends neither; the host that waits for it hears of the rank that is
// missing.
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
  const auto all_ranks = [&](const std::function<void(Communicator&)>& first, const std::function<void(Communicator&)>& others,
                             const std::vector<std::string>& words) {
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
  all_ranks(reduce(100, Reduction::kFast), [&](Communicator& comm) { comm.all_gather(piece, whole, "parameters"); },
            {"'gradients' (reduce_scatter of", "'parameters' (all_gather of 400 bytes)"});
  all_ranks(reduce(100, Reduction::kExact), reduce(50, Reduction::kExact),
            {"reduce_scatter of " + std::to_string(400 * size), "reduce_scatter of " + std::to_string(200 * size)});
  all_ranks(reduce(100, Reduction::kExact), reduce(100, Reduction::kFast), {"exact over", "fast"});
  all_ranks(reduce(100, Reduction::kFast), [](Communicator& comm) { comm.barrier("end of epoch"); },
            {"'gradients'", "'end of epoch' (barrier"});
}

}  // namespace
}  // namespace mpibert::test
