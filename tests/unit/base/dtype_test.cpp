#include "mpibert/base/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "mpibert/base/error.h"

namespace mpibert {

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(bfloat16(1.0f).bits, 0x3f80);
  EXPECT_EQ(bfloat16(1.00390625f).bits, 0x3f80);  // 1 + 2^-8, half way: to even, down
  EXPECT_EQ(bfloat16(1.01171875f).bits, 0x3f82);  // 1 + 3 * 2^-8, half way: to even, up
  EXPECT_EQ(bfloat16(std::nextafter(1.00390625f, 2.0f)).bits, 0x3f81);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);  // overflows to infinity
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(static_cast<float>(bfloat16(-2.5f)), -2.5f);
}

// The finite number of a pattern, by the definition of binary16.
double value_of(uint32_t pattern) {
  const int exponent = static_cast<int>(pattern >> 10 & 31), fraction = static_cast<int>(pattern & 1023);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return pattern & 0x8000u ? -magnitude : magnitude;
}

float16 float16_of(uint32_t pattern) {
  float16 x;
  x.bits = static_cast<uint16_t>(pattern);
  return x;
}

TEST(Float16, EveryPatternIsItsNumberAndComesBack) {
  for (uint32_t pattern = 0; pattern < 0x10000u; ++pattern) {
    const float wide = static_cast<float>(float16_of(pattern));
    if ((pattern & 0x7fffu) > 0x7c00u) {
      ASSERT_TRUE(std::isnan(wide)) << pattern;
      ASSERT_EQ(float16(wide).bits, pattern | 0x200u) << "a NaN becomes quiet";
      continue;
    }
    const double expected = (pattern & 0x7fffu) == 0x7c00u ? (pattern & 0x8000u ? -INFINITY : INFINITY) : value_of(pattern);
    ASSERT_EQ(static_cast<double>(wide), expected) << pattern;
    ASSERT_EQ(float16(wide).bits, pattern) << pattern;
  }
}

// Between any two neighbours, subnormal or normal: the middle goes to the even one, what is beside it to the nearer one.
TEST(Float16, RoundsToNearestEven) {
  for (uint32_t below = 0; below < 0x7bffu; ++below) {
    const float middle = static_cast<float>((value_of(below) + value_of(below + 1)) / 2);  // exact: one bit more
    ASSERT_EQ(float16(middle).bits, below + (below & 1)) << middle;
    ASSERT_EQ(float16(-middle).bits, 0x8000u | (below + (below & 1))) << middle;
    ASSERT_EQ(float16(std::nextafter(middle, 0.0f)).bits, below) << middle;
    ASSERT_EQ(float16(std::nextafter(middle, 1e9f)).bits, below + 1) << middle;
  }
}

TEST(Float16, GoesToInfinityHalfAStepPastTheLargest) {
  EXPECT_EQ(float16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(float16(std::nextafter(65520.0f, 0.0f)).bits, 0x7bff);
  EXPECT_EQ(float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(float16(-std::numeric_limits<float>::max()).bits, 0xfc00);
  EXPECT_EQ(float16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(float16(-0.0f).bits, 0x8000);
  static_assert(float16(1.5f).bits == 0x3e00 && static_cast<float>(float16(0x1p-24f)) == 0x1p-24f);
}

#if defined(__F16C__)
TEST(Float16, AgreesWithTheProcessor) {
  for (uint64_t u = 0; u < uint64_t{1} << 32; u += 97) {  // 97 is odd: all lower halves come up
    const float x = std::bit_cast<float>(static_cast<uint32_t>(u));
    ASSERT_EQ(float16(x).bits, _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)) << x;
  }
  for (uint32_t pattern = 0; pattern < 0x10000u; ++pattern) {
    const uint32_t quiet = (pattern & 0x7fffu) > 0x7c00u ? 0x400000u : 0;  // the instruction quiets a NaN on the way up, too
    ASSERT_EQ(std::bit_cast<uint32_t>(static_cast<float>(float16_of(pattern))) | quiet,
              std::bit_cast<uint32_t>(_cvtsh_ss(static_cast<uint16_t>(pattern))))
        << pattern;
  }
}
#endif

TEST(DType, PrecisionNamesAreChecked) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) EXPECT_EQ(precision_from_name(name_of(dtype)), dtype);
  EXPECT_THROW(precision_from_name("fp8"), Error);
}

}  // namespace mpibert
