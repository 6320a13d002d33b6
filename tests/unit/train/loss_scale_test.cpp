#include "mpibert/train/loss_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/unit/interop/expect_error.h"

namespace mpibert {
namespace {

constexpr LossScaleOptions kShort = {.dynamic = true, .initial = 1024, .growth_interval = 3};

// The scale after each step; '+' is a step with finite gradients, '-' one without.
std::vector<double> course(LossScale& scale, const std::string& steps) {
  std::vector<double> values;
  for (const char step : steps) {
    scale.update(step == '+');
    values.push_back(scale.value());
  }
  return values;
}

TEST(LossScale, GrowsAfterAnIntervalOfFiniteSteps) {
  LossScale scale(kShort);
  EXPECT_EQ(course(scale, "+++++++"), (std::vector<double>{1024, 1024, 2048, 2048, 2048, 4096, 4096}));
  EXPECT_EQ(scale.good_steps(), 1);
}

TEST(LossScale, FallsOnOverflowAndStartsTheIntervalAnew) {
  LossScale scale(kShort);
  EXPECT_EQ(course(scale, "++-++-+++"), (std::vector<double>{1024, 1024, 512, 512, 512, 256, 256, 256, 512}));
}

TEST(LossScale, FallsToTheMinimumAndNoFurther) {
  LossScale scale({.dynamic = true, .initial = 8, .growth_interval = 3, .minimum = 3});
  EXPECT_EQ(course(scale, "---+++"), (std::vector<double>{4, 3, 3, 3, 3, 6}));
}

TEST(LossScale, DoesNotGrowOutOfFp32) {
  LossScale scale({.dynamic = true, .initial = 0x1p127, .growth_interval = 1});
  EXPECT_EQ(course(scale, "+-+"), (std::vector<double>{0x1p127, 0x1p126, 0x1p127}));
}

// As torch.amp.GradScaler(): 65536, times 2 after 2000 finite steps, times 0.5 after an overflow.
TEST(LossScale, OfFp16IsPyTorchs) {
  LossScale scale(usual_loss_scale(DType::kFloat16));
  EXPECT_EQ(course(scale, std::string(1999, '+')).back(), 65536);
  EXPECT_EQ(course(scale, "+-"), (std::vector<double>{131072, 65536}));
}

TEST(LossScale, OfTheOthersIsOneForEver) {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    LossScale scale(usual_loss_scale(compute));
    EXPECT_EQ(course(scale, "-" + std::string(3000, '+')).back(), 1);
    scale.restore(65536, 7);
    EXPECT_EQ(scale.value(), 1) << "a fixed scale is that of the options";
  }
}

TEST(LossScale, ResumedAnywhereIsTheUninterruptedOne) {
  const std::string steps = "+++-++++-+++++++--+++";
  LossScale whole(kShort);
  const std::vector<double> expected = course(whole, steps);
  for (size_t stop = 0; stop <= steps.size(); ++stop) {
    LossScale first(kShort), second(kShort);
    std::vector<double> values = course(first, steps.substr(0, stop));
    second.restore(first.value(), first.good_steps());
    const std::vector<double> rest = course(second, steps.substr(stop));
    values.insert(values.end(), rest.begin(), rest.end());
    EXPECT_EQ(values, expected) << "stopped after " << stop;
    EXPECT_EQ(second.good_steps(), whole.good_steps());
  }
}

TEST(LossScale, RefusesOptionsOutOfRange) {
  const auto refused = [](const LossScaleOptions& options, const std::string& word) {
    test::expect_error(ErrorKind::kInvalidArgument, {"loss scale: " + word}, [&] { LossScale{options}; });
  };
  refused({.initial = 0}, "initial is 0");
  refused({.initial = INFINITY}, "initial is inf");
  refused({.growth_factor = 1}, "growth_factor is 1");
  refused({.backoff_factor = 1}, "backoff_factor is 1");
  refused({.growth_interval = 0}, "growth_interval is 0");
  refused({.dynamic = true, .initial = 4, .minimum = 8}, "minimum is 8");
}

}  // namespace
}  // namespace mpibert
