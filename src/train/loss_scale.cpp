#include "mpibert/train/loss_scale.h"

#include <cmath>
#include <limits>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr double kLargest = std::numeric_limits<float>::max();  // kernels have it in fp32

}  // namespace

void check(const LossScaleOptions& options) {
  const auto expect = [](bool holds, const char* name, double value, const char* range) {
    MPIBERT_CHECK(holds, kInvalidArgument, "loss scale: ", name, " is ", value, ": expected ", range);
  };
  expect(options.initial > 0 && options.initial <= kLargest, "initial", options.initial, "more than 0, and a number of fp32");
  expect(options.growth_factor > 1 && std::isfinite(options.growth_factor), "growth_factor", options.growth_factor, "more than 1");
  expect(options.backoff_factor > 0 && options.backoff_factor < 1, "backoff_factor", options.backoff_factor, "more than 0 and less than 1");
  expect(options.growth_interval > 0, "growth_interval", static_cast<double>(options.growth_interval), "1 or more");
  expect(options.minimum > 0 && (!options.dynamic || options.minimum <= options.initial), "minimum", options.minimum,
         "more than 0, and at most initial");
}

LossScaleOptions usual_loss_scale(DType compute) {
  if (compute != DType::kFloat16) return {};
  return {.dynamic = true, .initial = 65536};
}

}  // namespace mpibert
