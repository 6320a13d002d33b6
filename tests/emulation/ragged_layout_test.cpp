// ragged_layout: what cuDNN is told of a packed batch. cuDNN itself is not emulated.

#include "ops/cuda/ragged_layout.h"

#include <gtest/gtest.h>

#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert::test {
namespace {

TEST(RaggedLayout, SaysWhereSequencesBeginAndLeavesTheLastOnesEmpty) {
  constexpr int64_t kCapacity = 5;
  const std::unique_ptr<Backend> backend = make_backend({DeviceType::kCuda, 0});
  const auto stream = static_cast<cudaStream_t>(backend->stream());
  const Buffer ends_memory = backend->allocate(4 * sizeof(int32_t)),
               memory = backend->allocate(static_cast<size_t>(cuda::ragged_layout_size(kCapacity)) * sizeof(int32_t));
  const Tensor ends = ends_memory.view(DType::kInt32, {4});
  std::vector<int32_t> host = {0, 3, 4, 9};
  backend->upload(Tensor(host.data(), DType::kInt32, {4}), ends);
  cuda::Workspace workspace(stream);
  const cuda::Context context{.stream = stream, .workspace = workspace, .multiprocessors = 1};
  const Tensor all = memory.view(DType::kInt32, {cuda::ragged_layout_size(kCapacity)});
  const cuda::RaggedLayout layout = cuda::ragged_layout(ends, 2, 8, kCapacity, static_cast<int32_t*>(all.data()), context);
  std::vector<int32_t> found(static_cast<size_t>(all.size()));
  backend->download(all, Tensor(found.data(), DType::kInt32, all.shape()));
  const auto read = [&](const int32_t* at, int64_t n) {
    const auto* first = found.data() + (at - static_cast<int32_t*>(all.data()));
    return std::vector<int32_t>(first, first + n);
  };
  EXPECT_EQ(read(layout.qkv, 6), (std::vector<int32_t>{0, 3 * 48, 4 * 48, 9 * 48, 9 * 48, 9 * 48}));
  EXPECT_EQ(read(layout.context, 6), (std::vector<int32_t>{0, 3 * 16, 4 * 16, 9 * 16, 9 * 16, 9 * 16}));
  EXPECT_EQ(read(layout.stats, 6), (std::vector<int32_t>{0, 3 * 2, 4 * 2, 9 * 2, 9 * 2, 9 * 2}));
  EXPECT_EQ(read(layout.lengths, 5), (std::vector<int32_t>{3, 1, 5, 0, 0}));
}

}  // namespace
}  // namespace mpibert::test
