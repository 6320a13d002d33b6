#include "tests/support/reference_dropout.h"

#include <cmath>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using DropoutOp = OpTest;
MPIBERT_ON_EVERY_BACKEND(DropoutOp);

TEST_P(DropoutOp, MultipliesWithTheDocumentedMask) {
  for (const int64_t hidden : {1, 7, 16, 63, 64, 65, 130, 768}) {
    for (const float rate : {0.0f, 0.1f, 0.5f, 0.9f}) {
      const int64_t rows = 3;
      const Numbers x = rounded(random_numbers(rows * hidden, 1));
      Numbers expected;
      for (int64_t i = 0; i < rows * hidden; ++i)
        expected.push_back(x[static_cast<size_t>(i)] * test_dropout_factor(rate, i / hidden, i % hidden));
      const Tensor output = empty({rows, hidden}), input = compute(x, {rows, hidden});
      backend().dropout({.input = input, .dropout = dropout(rate, rows), .output = output});
      expect_close(read(output), expected, stored({.relative = 2 * 0x1p-24}), "output");
      backend().dropout({.input = input, .dropout = dropout(rate, rows), .output = input});
      EXPECT_EQ(read(input), read(output)) << "in place";
    }
  }
}

TEST_P(DropoutOp, KeepsTheRateAndTheMean) {
  const int64_t rows = 200, hidden = 768;
  const Tensor ones = compute(Numbers(static_cast<size_t>(rows * hidden), 1), {rows, hidden}), output = empty({rows, hidden});
  backend().dropout({.input = ones, .dropout = dropout(0.1f, rows), .output = output});
  double dropped = 0;
  for (const double y : read(output)) dropped += y == 0;
  EXPECT_NEAR(dropped / static_cast<double>(rows * hidden), 0.1,
              5 * 0.3 / std::sqrt(static_cast<double>(rows * hidden)));  // five standard deviations
}

TEST_P(DropoutOp, AnotherStepSiteSeedOrKeyIsAnotherMask) {
  const int64_t hidden = 256;
  const auto mask = [&](uint64_t seed, int64_t step, uint32_t site, double key) {
    const Tensor output = empty({1, hidden});
    backend().dropout({.input = compute(Numbers(static_cast<size_t>(hidden), 1), {1, hidden}),
                       .dropout = {.rate = 0.5f, .site = site, .state = state({.seed = seed, .step = step}), .token_keys = int32({key})},
                       .output = output});
    return read(output);
  };
  const Numbers first = mask(1, 2, 3, 4);
  EXPECT_EQ(mask(1, 2, 3, 4), first);
  EXPECT_NE(mask(2, 2, 3, 4), first);
  EXPECT_NE(mask(1, 3, 3, 4), first);
  EXPECT_NE(mask(1, 2, 4, 4), first);
  EXPECT_NE(mask(1, 2, 3, 5), first);
}

TEST_P(DropoutOp, RejectsWhatDoesNotFit) {
  const Tensor x = zeros(precision(), {2, 8});
  expect_rejected(
      [&] {
        backend().dropout({.input = x, .output = zeros(precision(), {2, 9})});
      },
      {"dropout: output: expected [2, 8]", "found [2, 9]"});
  expect_rejected([&] { backend().dropout({.input = x, .dropout = {.rate = -0.5f}, .output = x}); },
                  {"dropout.rate: expected 0 <= rate < 1, found -0.5"});
  expect_rejected([&] { backend().dropout({.input = x, .dropout = {.rate = 0.5f}, .output = x}); },
                  {"dropout.state: expected [104] uint8", "found left out"});
  expect_rejected(
      [&] {
        backend().dropout({.input = zeros(DType::kInt32, {2, 8}), .output = x});
      },
      {"input: " + expected_precisions() + " of 2 dimensions", "found [2, 8] int32"});
}

}  // namespace
}  // namespace mpibert::test
