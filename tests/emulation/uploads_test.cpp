// Uploads leave without a wait: the host's bytes have been taken when the call returns, and page-locked memory is not written before it has been sent.

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

}  // namespace
}  // namespace mpibert::test
