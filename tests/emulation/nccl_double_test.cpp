// The double of NCCL itself: what it finds wrong with the calls it gets.

#include "tests/emulation/nccl_test.h"

namespace mpibert::test {
namespace {

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
