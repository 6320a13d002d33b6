#include "mpibert/optim/schedule.h"

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace mpibert {
namespace {

using test::expect_error;

TEST(ScheduleTest, WarmsUpFromZeroToThePeak) {
  for (const char* kind : {"constant", "linear", "polynomial", "cosine"}) {
    const ScheduleOptions options{.kind = kind, .peak = 0.5, .warmup_steps = 5, .total_steps = 20};
    EXPECT_EQ(learning_rate(options, 0), 0) << kind;
    EXPECT_DOUBLE_EQ(learning_rate(options, 3), 0.3) << kind;
    EXPECT_DOUBLE_EQ(learning_rate(options, 5), 0.5) << kind;
  }
}

TEST(ScheduleTest, EndsWhereItSays) {
  for (const char* kind : {"linear", "cosine"})
    for (const int64_t step : {20, 21, 40})
      EXPECT_NEAR(learning_rate({.kind = kind, .peak = 0.5, .total_steps = 20}, step), 0, 1e-16) << kind;
  const ScheduleOptions polynomial{.kind = "polynomial", .peak = 0.5, .end = 0.1, .power = 2, .total_steps = 20};
  EXPECT_DOUBLE_EQ(learning_rate(polynomial, 10), 0.4 * 0.25 + 0.1);
  EXPECT_EQ(learning_rate(polynomial, 20), 0.1);
  EXPECT_EQ(learning_rate(polynomial, 1000), 0.1);
  EXPECT_EQ(learning_rate({.kind = "constant", .peak = 0.5}, 1000000), 0.5);
}

TEST(ScheduleTest, WarmUpMayTakeTheWholeRun) {
  for (const char* kind : {"linear", "cosine", "polynomial"})
    EXPECT_DOUBLE_EQ(learning_rate({.kind = kind, .peak = 1, .warmup_steps = 4, .total_steps = 4}, 3), 0.75) << kind;
}

TEST(ScheduleTest, RefusesOptionsOutOfRange) {
  const auto refused = [](ScheduleOptions options, std::vector<std::string> words) {
    expect_error(ErrorKind::kInvalidArgument, words, [&] { learning_rate(options, 0); });
  };
  refused({.kind = "step"}, {"'step'", "constant, linear, polynomial or cosine"});
  refused({.peak = -1, .total_steps = 9}, {"peak", "-1"});
  refused({.warmup_steps = -1, .total_steps = 9}, {"warmup_steps -1"});
  refused({.warmup_steps = 10, .total_steps = 9}, {"total_steps 9", "10"});
  refused({.kind = "polynomial", .peak = 1e-4, .end = 1e-3, .total_steps = 9}, {"end learning rate 0.001", "0.0001"});
  refused({.kind = "polynomial", .power = 0, .total_steps = 9}, {"power 0"});
}

}  // namespace
}  // namespace mpibert
