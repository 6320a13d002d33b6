#include "ops/cpu/simd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/cpu/activation.h"
#include "ops/cpu/dropout_mask.h"
#include "tests/support/reference.h"

// The vector functions of the CPU kernels, compiled as these are, against double precision over their whole range.

namespace mpibert::cpu {
namespace {

// The largest |f(x) - exact(x)| / max(|exact(x)|, floor) for evenly spaced x.
template <class F, class G>
double largest_error(float low, float high, F f, G exact, double floor) {
  constexpr int kPoints = 400000;
  double worst = 0;
  for (int i = 0; i < kPoints; i += kLanes) {
    float x[kLanes], y[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) x[lane] = low + (high - low) * (static_cast<float>(i + lane) / kPoints);
    store(y, f(load(x)));
    for (int lane = 0; lane < kLanes; ++lane) {
      const double want = exact(static_cast<double>(x[lane]));
      const double error = std::abs(static_cast<double>(y[lane]) - want) / std::max(std::abs(want), floor);
      worst = error <= worst ? worst : error;  // a NaN is the worst
    }
  }
  return worst;
}

constexpr double kUlp = 0x1p-23;

TEST(Simd, ExpIsWithinTwoUnitsInTheLastPlace) {
  const auto f = [](Vec x) { return exp(x); };
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(largest_error(-87, 88, f, exact, 0x1p-126), 2 * kUlp);
  EXPECT_LT(largest_error(-110, -87, f, exact, 0x1p-126), 2 * kUlp);
  EXPECT_EQ(exp(broadcast(-INFINITY))[0], 0);
  EXPECT_EQ(exp(broadcast(INFINITY))[0], INFINITY);
  EXPECT_EQ(exp(broadcast(0))[0], 1);
  EXPECT_TRUE(std::isnan(exp(broadcast(NAN))[0]));
}

TEST(Simd, TanhIsRelativelyExact) {
  EXPECT_LT(largest_error(
                -12, 12, [](Vec x) { return tanh(x); }, [](double x) { return std::tanh(x); }, 1e-300),
            3 * kUlp);
  EXPECT_LT(largest_error(
                -1e-4f, 1e-4f, [](Vec x) { return tanh(x); }, [](double x) { return std::tanh(x); }, 1e-300),
            3 * kUlp);
  EXPECT_EQ(tanh(broadcast(-INFINITY))[0], -1);
}

template <Activation kind>
void expect_exact(double value_error, double value_floor) {
  SCOPED_TRACE(static_cast<int>(kind));
  const auto value = [](double x) { return reference::activate(kind, x); };
  const auto slope = [](double x) { return reference::derivative(kind, x); };
  EXPECT_LT(largest_error(
                -12, 12, [](Vec x) { return activate<kind>(x); }, value, value_floor),
            value_error);
  EXPECT_LT(largest_error(
                -12, 12, [](Vec x) { return derivative<kind>(x); }, slope, 1),
            2e-6);  // it crosses zero: absolute
  EXPECT_EQ(activate<kind>(broadcast(1e20f))[0], kind == Activation::kTanh ? 1 : 1e20f);
  EXPECT_EQ(derivative<kind>(broadcast(-1e20f))[0], 0);
  EXPECT_TRUE(std::isnan(activate<kind>(broadcast(NAN))[0]));
}

TEST(Simd, ActivationsAreExactInTheirTails) {
  expect_exact<Activation::kGelu>(1e-6, 1e-37);  // relative even where gelu is 1e-32
  expect_exact<Activation::kGeluTanh>(3e-6, 1e-6);
  expect_exact<Activation::kRelu>(1e-30, 1);
  expect_exact<Activation::kTanh>(1e-6, 1e-30);
}

// What is rounded to bf16 (2^-8 of its value) may have an error of a tenth of that before, near the tail too.
TEST(Simd, GeluForBFloat16IsFarMoreExactThanBFloat16) {
  constexpr auto kGelu = Activation::kGelu;
  EXPECT_LT(largest_error(
                -12, 12, [](Vec x) { return activate<kGelu, bfloat16>(x); }, [](double x) { return reference::activate(kGelu, x); }, 1e-37),
            2e-4);
  EXPECT_LT(largest_error(
                -12, 12, [](Vec x) { return derivative<kGelu, bfloat16>(x); }, [](double x) { return reference::derivative(kGelu, x); }, 1),
            2e-4);
  EXPECT_EQ((activate<kGelu, bfloat16>(broadcast(-1e20f))[0]), 0);
}

TEST(Simd, StoresBFloat16AsTheConversionOfOneNumberDoes) {
  for (const float x : {1.0f, 1.00390625f, 1.01171875f, 3.4e38f, -1e-40f, 1e-45f, 0.0f, -0.0f, INFINITY, -INFINITY, NAN}) {
    bfloat16 stored[kLanes];
    store(stored, broadcast(x));
    EXPECT_EQ(stored[kLanes - 1].bits, bfloat16(x).bits) << x;
  }
}

TEST(Simd, DropoutMaskIsTheFormulaOfOpsH) {
  const reference::Mask expected{.rate = 0.1, .site = 3, .seed = 0xfedcba9876543210, .step = (int64_t{1} << 32) + 9};
  StepState state{.seed = expected.seed, .step = expected.step};
  std::vector<int32_t> keys = {0, 5, -9, 2147483647};
  const DropoutMask mask({.rate = 0.1f,
                          .site = 3,
                          .state = Tensor(&state, DType::kUInt8, {static_cast<int64_t>(sizeof state)}),
                          .token_keys = host_tensor(std::span(keys), {4})});
  EXPECT_NEAR(mask.scale(), expected.scale(), 1e-6);
  for (int64_t row = 0; row < 4; ++row)
    for (const int64_t column : {int64_t{0}, int64_t{8}, int64_t{64}, int64_t{65536 * 11 + 448}}) {
      const uint64_t bits = mask.keep_bits(mask.token_key(row), column);
      for (int64_t i = 0; i < 64; ++i)
        ASSERT_EQ((bits >> i) & 1, expected.keeps(keys[static_cast<size_t>(row)], column + i)) << row << " " << column + i;
    }
}

}  // namespace
}  // namespace mpibert::cpu
