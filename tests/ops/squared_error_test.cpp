#include <limits>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using SquaredErrorOp = OpTest;
MPIBERT_ON_EVERY_BACKEND(SquaredErrorOp);

TEST_P(SquaredErrorOp, LossAndGradientMatchCentralDifferences) {
  for (const int64_t rows : {0, 1, 5, 33}) {
    const Numbers x = rounded(random_numbers(rows, 1)), labels = read(fp32(random_numbers(rows, 2), {rows}));
    const auto loss_at = [&](const Numbers& at) {
      double sum = 0;
      for (size_t i = 0; i < at.size(); ++i) sum += (at[i] - labels[i]) * (at[i] - labels[i]);
      return sum;
    };
    Numbers expected;
    for (size_t i = 0; i < x.size(); ++i) expected.push_back(0.5 * central_difference(loss_at, x, i));
    const Tensor logits = compute(x, {rows, 1}), loss = fp32({3}, {1});
    const SquaredError op = {.logits = logits,
                             .labels = fp32(labels, {rows}),
                             .state = state({.loss_weights = {9, 0.25f, 9, 9}, .loss_scale = 2}),
                             .term = 1,
                             .backward = false,
                             .loss_sum = loss};
    backend().squared_error(op);
    EXPECT_EQ(read(logits), x);
    SquaredError backward = op;
    backward.backward = true;
    backend().squared_error(backward);
    expect_close(read(loss), {3 + 2 * loss_at(x)}, {.relative = 4 * 0x1p-24}, "loss_sum");
    expect_close(read(logits), expected, stored({.relative = 0x1p-23, .absolute = 1e-9}), "gradient");
  }
}

TEST_P(SquaredErrorOp, ARowWithoutLabelCountsForNothing) {
  const Numbers x = {1, std::numeric_limits<double>::infinity(), 3};
  const Tensor logits = compute(x, {3, 1}), loss = fp32({0}, {1});
  const Tensor labels = fp32({0.5, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()}, {3});
  backend().squared_error({.logits = logits, .labels = labels, .state = state({.loss_weights = {1}}), .loss_sum = loss});
  EXPECT_EQ(read(loss), Numbers{0.25});
  EXPECT_EQ(read(logits), (Numbers{1, 0, 0}));
}

TEST_P(SquaredErrorOp, RejectsWhatDoesNotFit) {
  const Tensor one = zeros(DType::kFloat32, {1}), x = zeros(precision(), {2, 1});
  expect_rejected(
      [&] {
        backend().squared_error({.logits = zeros(precision(), {2, 2}), .labels = one, .loss_sum = one});
      },
      {"squared_error: logits: expected [2, 1]", "found [2, 2]"});
  expect_rejected(
      [&] {
        backend().squared_error({.logits = x, .labels = int32({1, 2}), .loss_sum = one});
      },
      {"labels: expected [2] fp32", "found [2] int32"});
  expect_rejected([&] { backend().squared_error({.logits = x, .labels = zeros(DType::kFloat32, {2}), .term = -2, .loss_sum = one}); },
                  {"term: expected 0 to 3, found -2"});
}

}  // namespace
}  // namespace mpibert::test
