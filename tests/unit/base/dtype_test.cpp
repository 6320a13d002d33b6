#include "mpibert/base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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

TEST(DType, PrecisionNamesAreChecked) {
  EXPECT_EQ(precision_from_name("bf16"), DType::kBFloat16);
  EXPECT_THROW(precision_from_name("fp8"), Error);
}

}  // namespace mpibert
