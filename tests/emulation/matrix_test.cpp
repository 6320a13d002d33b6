// Matrices of a warp and asynchronous copies: against a plain product, with the layouts of the PTX ISA written down as the formulas stand
// there, and planted faults.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/cuda/device/mma.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/launch.h"
#include "tests/emulation/device_numbers.h"
#include "tests/emulation/simt.h"

namespace mpibert::cuda {
namespace {

// d [16, 8] = c + a [16, 16] b [16, 8], fragments filled and emptied element by element.
__global__ void multiply(const bfloat16* a, const bfloat16* b, float* c, int lanes) {
  const int lane = static_cast<int>(threadIdx.x), group = lane >> 2, in_group = lane % 4;
  if (lane >= lanes) return;
  uint32_t a_fragment[4] = {}, b_fragment[2] = {};
  float d[4];
  for (int i = 0; i < 8; ++i) {  // row = groupID for a0 a1 a4 a5, else groupID + 8; col = threadID_in_group * 2 + (i & 1), + 8 for i >= 4
    const int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8, col = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
    a_fragment[i / 2] |= static_cast<uint32_t>(a[row * 16 + col].bits) << (i % 2 * 16);
  }
  for (int i = 0; i < 4; ++i) {  // row = threadID_in_group * 2 + (i & 1), + 8 for i >= 2; col = groupID
    const int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
    b_fragment[i / 2] |= static_cast<uint32_t>(b[row * 8 + group].bits) << (i % 2 * 16);
  }
  const auto at = [&](int i) { return (i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1); };
  for (int i = 0; i < 4; ++i) d[i] = c[at(i)];
  mma_m16n8k16<bfloat16>(d, a_fragment, b_fragment);
  for (int i = 0; i < 4; ++i) c[at(i)] = d[i];
}

struct Product {
  std::vector<bfloat16> a, b;
  std::vector<float> c;
  Product() : a(16 * 16), b(16 * 8), c(16 * 8) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = bfloat16(static_cast<float>(i % 23) - 11);
    for (size_t i = 0; i < b.size(); ++i) b[i] = bfloat16(static_cast<float>(i * 7 % 19) / 4);
    for (size_t i = 0; i < c.size(); ++i) c[i] = static_cast<float>(i);
  }
  float expected(size_t row, size_t column) const {  // exact: multiples of 1/4 below 2^22
    float sum = c[row * 8 + column];
    for (size_t k = 0; k < 16; ++k) sum += static_cast<float>(a[row * 16 + k]) * static_cast<float>(b[k * 8 + column]);
    return sum;
  }
};

TEST(EmulatedMatrix, MultipliesFragments) {
  const Product x;
  const DeviceNumbers<bfloat16> a(x.a), b(x.b);
  const DeviceNumbers<float> c(x.c);
  launch({.block = 32}, nullptr, multiply, a.get(), b.get(), c.get(), 32);
  const std::vector<float> d = c.read();
  for (size_t row = 0; row < 16; ++row)
    for (size_t column = 0; column < 8; ++column) EXPECT_EQ(d[row * 8 + column], x.expected(row, column)) << row << " " << column;
}

TEST(EmulatedMatrix, FindsALaneThatNeverArrives) {
  const Product x;
  const DeviceNumbers<bfloat16> a(x.a), b(x.b);
  const DeviceNumbers<float> c(x.c);
  expect_fault([&] { launch({.block = 32}, nullptr, multiply, a.get(), b.get(), c.get(), 31); },
               {"waits at mma() in mma.cuh:", "for lane 31 of its mask, which never arrives: thread (31, 0, 0) has returned"});
}

// The same product, fragments loaded from rows of `stride` elements: a as it lies, b [16, 8] transposed, or b^T [8, 16] as it lies.
enum class Fault { kNone, kMisaligned, kOutside, kNoBarrier, kLaneMissing };
__global__ void multiply_loaded(const bfloat16* a, const bfloat16* b, float* c, int transposed, Fault fault) {
  constexpr int kStride = 24;
  __shared__ __align__(16) bfloat16 rows[16 * kStride], right[16 * kStride];
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 16 * kStride; i += kWarp) rows[i] = right[i] = bfloat16(0);
  __syncwarp();
  for (int i = lane; i < 256; i += kWarp) rows[i / 16 * kStride + i % 16] = a[i];
  for (int i = lane; i < 128; i += kWarp) right[transposed ? i / 8 * kStride + i % 8 : i % 8 * kStride + i / 8] = b[i];
  if (fault != Fault::kNoBarrier) __syncwarp();
  if (fault == Fault::kLaneMissing && lane == 7) return;
  uint32_t a_fragment[4], b_fragment[4];
  const bfloat16* row = rows + lane % 16 * kStride + lane / 16 * 8;
  if (fault == Fault::kMisaligned && lane == 9) row += 1;
  if (fault == Fault::kOutside && lane == 9) row = a;
  ldmatrix_x4(a_fragment, row);
  if (transposed) {
    ldmatrix_x4_trans(b_fragment, right + lane % 16 * kStride);
  } else {
    ldmatrix_x4(b_fragment, right + lane % 8 * kStride + lane / 8 % 2 * 8);
  }
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2];
  mma_m16n8k16<bfloat16>(d, a_fragment, {b_fragment[0], b_fragment[1]});
  for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

TEST(EmulatedMatrix, LoadsFragments) {
  const Product x;
  const DeviceNumbers<bfloat16> a(x.a), b(x.b);
  for (const int transposed : {0, 1}) {
    const DeviceNumbers<float> c(x.c);
    launch({.block = 32}, nullptr, multiply_loaded, a.get(), b.get(), c.get(), transposed, Fault::kNone);
    const std::vector<float> d = c.read();
    for (size_t row = 0; row < 16; ++row)
      for (size_t column = 0; column < 8; ++column) EXPECT_EQ(d[row * 8 + column], x.expected(row, column)) << row << " " << column;
  }
}

TEST(EmulatedMatrix, FindsWrongRows) {
  const Product x;
  const DeviceNumbers<bfloat16> a(x.a), b(x.b);
  const DeviceNumbers<float> c(x.c);
  const auto fault = [&](Fault f, const std::vector<std::string>& words) {
    expect_fault([&] { launch({.block = 32}, nullptr, multiply_loaded, a.get(), b.get(), c.get(), 0, f); }, words);
  };
  fault(Fault::kMisaligned, {"ldmatrix: misaligned address", "thread (9, 0, 0)", "mma.cuh:"});
  fault(Fault::kOutside, {"expected an address in shared memory"});
  fault(Fault::kLaneMissing, {"waits at ldmatrix() in mma.cuh:", "for lane 7 of its mask, which never arrives"});
  if (emulation::watches_memory()) fault(Fault::kNoBarrier, {"race in shared memory", "reads what", "multiply_loaded"});
}

__global__ void round_pairs(const float* numbers, uint32_t* packed) {
  packed[threadIdx.x] = pack<bfloat16>(numbers[2 * threadIdx.x], numbers[2 * threadIdx.x + 1]);
}

TEST(EmulatedMatrix, PacksTheNearestLowerHalfFirst) {
  const DeviceNumbers<float> numbers(std::vector<float>{1, -2, 0x1.01p0f, 0x1.03p0f, 0x1.0101p0f, 0x1.00ffp0f});
  const DeviceNumbers<uint32_t> packed(3);
  launch({.block = 3}, nullptr, round_pairs, numbers.get(), packed.get());
  EXPECT_THAT(packed.read(), testing::ElementsAre(0xc0003f80u, 0x3f823f80u, 0x3f803f81u));  // ties go to the even one
}

// The block's numbers, reversed, through shared memory: `pending` groups may be unfinished when they are read.
__global__ void reverse(const float* input, float* output, int n, int pending, int barrier) {
  __shared__ __align__(16) float there[2][64];
  const int i = static_cast<int>(threadIdx.x);
  copy_async<4>(&there[0][i], input + i, i < n);
  commit_copies();
  copy_async<4>(&there[1][i], input, false);
  commit_copies();
  if (pending == 1) {
    wait_for_copies<1>();
  } else if (pending == 2) {
    wait_for_copies<2>();
  }
  if (barrier) __syncthreads();
  output[i] = there[0][63 - i];
  __syncthreads();
  if (pending < 3) wait_for_copies<0>();
}

TEST(EmulatedCopies, HappenWhenTheyAreWaitedFor) {
  std::vector<float> numbers(64, 1.0f);
  numbers[60] = 5;
  const DeviceNumbers<float> input(numbers), output(64);
  launch({.block = 64}, nullptr, reverse, input.get(), output.get(), 61, 1, 1);
  std::vector<float> expected(64, 1.0f);
  expected[0] = expected[1] = expected[2] = 0;  // not valid
  expected[3] = 5;
  EXPECT_EQ(output.read(), expected);
  launch({.block = 64}, nullptr, reverse, input.get(), output.get(), 61, 2, 1);
  for (const float x : output.read()) EXPECT_TRUE(std::isnan(x));  // one group too few
}

TEST(EmulatedCopies, AreWatched) {
  const DeviceNumbers<float> input(std::vector<float>(64)), output(64), small(std::vector<float>(63));
  expect_fault([&] { launch({.block = 64}, nullptr, reverse, input.get(), output.get(), 64, 3, 1); },
               {"asynchronous copy in mma.cuh:", "never waited for"});
  expect_fault([&] { launch({.block = 64}, nullptr, reverse, small.get(), output.get(), 64, 1, 1); },
               {"out of bounds", "thread (63, 0, 0)"});
  if (emulation::watches_memory())
    expect_fault([&] { launch({.block = 64}, nullptr, reverse, input.get(), output.get(), 64, 1, 0); }, {"shared memory"});
}

}  // namespace
}  // namespace mpibert::cuda
