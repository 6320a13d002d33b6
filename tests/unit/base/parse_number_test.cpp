#include "mpibert/base/parse_number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace mpibert {

TEST(ParseNumber, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_number<int64_t>("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(parse_number<int64_t>("007"), 7);
  EXPECT_EQ(parse_number<uint64_t>("ffffffffffffffff", 16), UINT64_MAX);
  for (const char* text : {"", " 7", "7 ", "+7", "7.0", "0x7", "seven", "9223372036854775808"})
    EXPECT_EQ(parse_number<int64_t>(text), std::nullopt) << text;
  EXPECT_EQ(parse_number<uint32_t>("-1"), std::nullopt);
  EXPECT_EQ(parse_number<double>("1e-3"), 0.001);
  EXPECT_TRUE(std::isnan(*parse_number<float>("nan")));
  for (const char* text : {"", "1,5", "1e", "1e999"}) EXPECT_EQ(parse_number<double>(text), std::nullopt) << text;
}

}  // namespace mpibert
