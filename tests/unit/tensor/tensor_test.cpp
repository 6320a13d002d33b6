#include "mpibert/tensor/tensor.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "mpibert/base/error.h"
#include "mpibert/tensor/buffer.h"

namespace mpibert {

TEST(Tensor, SlicesAreViews) {
  std::vector<float> numbers(24);
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  const Tensor t = host_tensor(std::span(numbers), {4, 6});
  EXPECT_EQ(t.rows(1, 3).shape(), (Shape{2, 6}));
  EXPECT_EQ(t.rows(1, 3).span<float>()[0], 6.0f);
  EXPECT_EQ(t.elements(5, 7).span<float>()[1], 6.0f);
  EXPECT_EQ(t.reshape({2, 2, 6}).shape()[-1], 6);
  t.rows(0, 1).span<float>()[0] = -1;
  EXPECT_EQ(numbers[0], -1.0f);
}

TEST(Tensor, RefusesWhatDoesNotFit) {
  std::vector<float> numbers(6);
  const Tensor t = host_tensor(std::span(numbers), {2, 3});
  EXPECT_THROW(t.rows(1, 3), Error);
  EXPECT_THROW(t.elements(-1, 2), Error);
  EXPECT_THROW(t.reshape({4}), Error);
  EXPECT_THROW(t.span<int32_t>(), Error);
  EXPECT_THROW(t.shape()[2], Error);
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6}), Error);
}

TEST(Buffer, RefusesAViewBeyondItsEnd) {
  std::vector<std::byte> memory(16);
  int released = 0;
  {
    const Buffer buffer(memory.data(), memory.size(), {}, [&](void*) { ++released; });
    EXPECT_EQ(buffer.view(DType::kFloat32, {2}, 8).bytes(), 8u);
    EXPECT_THROW(buffer.view(DType::kFloat32, {3}, 8), Error);
  }
  EXPECT_EQ(released, 1);
}

}  // namespace mpibert
