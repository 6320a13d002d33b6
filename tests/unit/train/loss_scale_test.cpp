#include "mpibert/train/loss_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/unit/interop/expect_error.h"

namespace mpibert {
namespace {

TEST(LossScale, RefusesOptionsOutOfRange) {
  const auto refused = [](const LossScaleOptions& options, const std::string& word) {
    test::expect_error(ErrorKind::kInvalidArgument, {"loss scale: " + word}, [&] { check(options); });
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
