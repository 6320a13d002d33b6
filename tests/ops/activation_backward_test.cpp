#include <cmath>
#include <numbers>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

double activation(Activation kind, double x) {
  switch (kind) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kTanh:
      return std::tanh(x);
  }
  return 0;
}

constexpr Activation kKinds[] = {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh};

using ActivationOp = OpTest;
MPIBERT_ON_EVERY_BACKEND(ActivationOp);

TEST_P(ActivationOp, BackwardMatchesCentralDifferences) {
  for (const Activation kind : kKinds) {
    for (const int64_t n : {1, 16, 33, 5000}) {
      const Numbers x = rounded(random_numbers(n, 1, 3)), dy = rounded(random_numbers(n, 2));
      Numbers expected;
      for (size_t i = 0; i < x.size(); ++i)
        expected.push_back(dy[i] * central_difference([&](const Numbers& at) { return activation(kind, at[0]); }, {x[i]}, 0));
      const Tensor gradient = compute(dy, {n}), input = compute(x, {n}), d_input = empty({n});
      backend().activation_backward({.gradient = gradient, .input = input, .activation = kind, .d_input = d_input});
      // The derivatives are products and sums of numbers up to 2 with some ten roundings.
      expect_close(read(d_input), expected, stored({.relative = 0x1p-20, .absolute = 0x1p-19}), "d_input");
      backend().activation_backward({.gradient = gradient, .input = input, .activation = kind, .d_input = gradient});
      EXPECT_EQ(read(gradient), read(d_input)) << "in place";
    }
  }
}

TEST_P(ActivationOp, DerivativeHasItsLimitsFarFromZero) {
  for (const Activation kind : kKinds) {
    const double above = kind == Activation::kTanh ? 0 : 1, below = kind == Activation::kNone ? 1 : 0;
    const double far = precision() == DType::kFloat16 ? 65504 : 1e30;
    const Tensor d_input = empty({5}), ones = compute(Numbers(5, 1), {5});
    backend().activation_backward(
        {.gradient = ones, .input = compute({30, 6e4, far, -30, -6e4}, {5}), .activation = kind, .d_input = d_input});
    EXPECT_EQ(read(d_input), (Numbers{above, above, above, below, below})) << static_cast<int>(kind);
  }
}

TEST_P(ActivationOp, RejectsWhatDoesNotFit) {
  const Tensor x = zeros(precision(), {4, 8});
  expect_rejected(
      [&] {
        backend().activation_backward({.gradient = x, .input = zeros(precision(), {8, 4}), .d_input = x});
      },
      {"activation_backward: input: expected [4, 8]", "found [8, 4]"});
  expect_rejected(
      [&] {
        backend().activation_backward({.gradient = x, .input = zeros(DType::kInt32, {4, 8}), .d_input = x});
      },
      {"found [4, 8] int32"});
  expect_rejected(
      [&] { backend().activation_backward({.gradient = x, .input = x, .activation = static_cast<Activation>(17), .d_input = x}); },
      {"activation: expected one of Activation, found 17"});
}

}  // namespace
}  // namespace mpibert::test
