// Uploads leave without a wait: the host's bytes have been taken when the call returns, they travel while the device computes, and memory
// between host and target is not written before it has been read.

#include <gtest/gtest.h>

#include <vector>

#include "mpibert/ops/backend.h"
#include "ops/cuda/upload_ring.h"
#include "tests/emulation/streams.h"

namespace mpibert::test {
namespace {

TEST(Uploads, TakeTheBytesAtOnceAndKeepTheirOrder) {
  constexpr int64_t kUploads = 3 * cuda::UploadRing::kPlaces;
  const std::unique_ptr<Backend> backend = make_backend({DeviceType::kCuda, 0});
  const Buffer memory = backend->allocate(kUploads * sizeof(int32_t));
  const Tensor numbers = memory.view(DType::kInt32, {kUploads});
  const emulation::LateStreams late;
  std::vector<int32_t> expected;
  for (int32_t i = 0; i < kUploads; ++i) {
    std::vector<int32_t> one = {i};
    backend->upload(Tensor(one.data(), DType::kInt32, {1}), numbers.elements(i, i + 1));
    one[0] = -1;
    expected.push_back(i);
  }
  std::vector<int32_t> found(expected.size());
  backend->download(numbers, Tensor(found.data(), DType::kInt32, {kUploads}));
  EXPECT_EQ(found, expected);
}

class UploadRingTest : public testing::Test {
 protected:
  void put(int32_t number) { ring_.put(&number, numbers_.elements(number, number + 1).data(), sizeof number); }
  std::vector<int32_t> read() {
    std::vector<int32_t> found(static_cast<size_t>(numbers_.size()));
    backend_->download(numbers_, host_tensor(std::span(found), numbers_.shape()));
    return found;
  }

  static constexpr int32_t kUploads = 3 * cuda::UploadRing::kPlaces;
  std::unique_ptr<Backend> backend_ = make_backend({DeviceType::kCuda, 0});
  cudaStream_t compute_ = static_cast<cudaStream_t>(backend_->stream());
  Buffer memory_ = backend_->allocate(kUploads * sizeof(int32_t));
  Tensor numbers_ = memory_.view(DType::kInt32, {kUploads});
  cuda::HostWait wait_;
  cuda::UploadRing ring_{compute_, wait_};
};

TEST_F(UploadRingTest, TransfersDoNotWaitForWhatTheDeviceComputes) {
  const emulation::LateStreams late;
  bool is_computed = false;
  emulation::enqueue(compute_, [&] { return is_computed; });
  put(5);
  EXPECT_EQ(emulation::queued(ring_.transfers()), 2u) << "the transfer, and the word that it has ended";
  EXPECT_EQ(cudaStreamSynchronize(ring_.transfers()), cudaSuccess) << "would not return";
  EXPECT_GT(emulation::queued(compute_), 1u) << "what is being computed may still read the target";
  is_computed = true;
  EXPECT_EQ(read()[5], 5);
}

// Transfers as early, copies as late as may be: a place that was taken again too early would give its number to two targets.
TEST_F(UploadRingTest, APlaceIsTakenAgainWhenItsNumberIsAtItsTarget) {
  const emulation::LateStreams late;
  std::vector<int32_t> expected;
  for (int32_t i = 0; i < kUploads; ++i) {
    put(i);
    EXPECT_EQ(cudaStreamSynchronize(ring_.transfers()), cudaSuccess);
    expected.push_back(i);
  }
  EXPECT_EQ(read(), expected);
}

TEST_F(UploadRingTest, APlaceGrowsWithWhatIsInIt) {
  std::vector<int32_t> many(100000, 7);
  const Buffer memory = backend_->allocate(many.size() * sizeof(int32_t));
  const Tensor target = memory.view(DType::kInt32, {static_cast<int64_t>(many.size())});
  const emulation::LateStreams late;
  for (int32_t i = 0; i < static_cast<int32_t>(cuda::UploadRing::kPlaces); ++i) put(i);
  ring_.put(many.data(), target.data(), target.bytes());
  const std::vector<int32_t> sent = many;
  backend_->download(target, host_tensor(std::span(many), target.shape()));
  EXPECT_EQ(many, sent);
  EXPECT_EQ(read()[0], 0);
}

}  // namespace
}  // namespace mpibert::test
