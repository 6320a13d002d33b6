#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/backends.h"
#include "tests/support/reference_norm.h"

namespace mpibert::test {
namespace {

struct Case {
  int64_t rows, columns;
  double scale;  // of the logits
};
const Case kCases[] = {{1, 1, 1}, {1, 2, 1}, {5, 3, 4}, {4, 17, 1}, {3, 1024, 10}, {2, 1030, 1}, {7, 5000, 5}};
constexpr float kLossScale = 0.125f;

double row_loss(const Numbers& logits, size_t label, double smoothing = 0) {
  double largest = logits[0], sum = 0, mean = 0;
  for (const double x : logits) largest = std::max(largest, x);
  for (const double x : logits) sum += std::exp(x - largest), mean += x / static_cast<double>(logits.size());
  return std::log(sum) + largest - (1 - smoothing) * logits[label] - smoothing * mean;
}

class CrossEntropyOp : public OpTest {
 protected:
  struct Result {
    Numbers logits;
    double loss = 0, correct = 0;
  };
  Result run(const Numbers& logits, int64_t columns, const Numbers& labels, bool backward = true, float smoothing = 0) {
    const Tensor x = compute(logits, {static_cast<int64_t>(labels.size()), columns}), loss = zeros(DType::kFloat32, {1}),
                 correct = zeros(DType::kFloat32, {1});
    backend().cross_entropy({.logits = x,
                             .labels = int32(labels),
                             .state = backward ? state({.loss_weights = {0, 0, kLossScale / 4, 0}, .loss_scale = 4}) : Tensor{},
                             .term = 2,
                             .smoothing = smoothing,
                             .backward = backward,
                             .loss_sum = loss,
                             .correct = correct});
    return {read(x), read(loss)[0], read(correct)[0]};
  }
};
MPIBERT_ON_EVERY_BACKEND(CrossEntropyOp);

TEST_P(CrossEntropyOp, LossAndGradientMatchTheReference) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.columns);
    const Numbers logits = rounded(random_numbers(c.rows * c.columns, 1, c.scale));
    Numbers labels, expected;
    double loss = 0, correct = 0;
    for (int64_t row = 0; row < c.rows; ++row) {
      const Numbers x = row_of(logits, row, c.columns);
      const size_t first_largest = static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin());
      const size_t label = row % 2 ? first_largest : static_cast<size_t>((row * 7) % c.columns);
      labels.push_back(static_cast<double>(label));
      loss += row_loss(x, label);
      correct += first_largest == label;
      for (size_t i = 0; i < x.size(); ++i)  // differences where they are cheap, else the known derivative
        expected.push_back(static_cast<double>(kLossScale) *
                           (c.columns <= 17 ? central_difference([&](const Numbers& at) { return row_loss(at, label); }, x, i)
                                            : std::exp(-row_loss(x, i)) - (i == label)));
    }
    const Result found = run(logits, c.columns, labels);
    expect_close({found.loss}, {loss}, {.relative = 0x1p-23, .absolute = static_cast<double>(c.rows) * 0x1p-20}, "loss_sum");
    EXPECT_EQ(found.correct, correct);
    expect_close(found.logits, expected, stored({.relative = 0x1p-18, .absolute = 0x1p-23}), "gradient");
    const Result forward_only = run(logits, c.columns, labels, false);
    EXPECT_EQ(forward_only.logits, logits);
    EXPECT_EQ(forward_only.loss, found.loss);
  }
}

TEST_P(CrossEntropyOp, SmoothedLabelsMatchTheReference) {
  constexpr float kSmoothing = 0.25f;
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.columns);
    const Numbers logits = rounded(random_numbers(c.rows * c.columns, 1, c.scale));
    Numbers labels, expected;
    double loss = 0;
    for (int64_t row = 0; row < c.rows; ++row) {
      const Numbers x = row_of(logits, row, c.columns);
      const auto label = static_cast<size_t>((row * 7) % c.columns);
      labels.push_back(static_cast<double>(label));
      loss += row_loss(x, label, kSmoothing);
      for (size_t i = 0; i < x.size(); ++i)
        expected.push_back(
            static_cast<double>(kLossScale) *
            (c.columns <= 17 ? central_difference([&](const Numbers& at) { return row_loss(at, label, kSmoothing); }, x, i)
                             : std::exp(-row_loss(x, i)) - (i == label) * (1 - kSmoothing) - kSmoothing / static_cast<double>(c.columns)));
    }
    const Result found = run(logits, c.columns, labels, true, kSmoothing);
    expect_close({found.loss}, {loss}, {.relative = 0x1p-23, .absolute = static_cast<double>(c.rows) * 0x1p-20}, "loss_sum");
    expect_close(found.logits, expected, stored({.relative = 0x1p-18, .absolute = 0x1p-23}), "gradient");
    EXPECT_EQ(run(logits, c.columns, labels, false, kSmoothing).loss, found.loss);
  }
}

TEST_P(CrossEntropyOp, NegativeLabelsCountForNothing) {
  const Numbers logits = random_numbers(3 * 20, 1);
  const Result all = run(logits, 20, {-1, 4, -100}), one = run(row_of(logits, 1, 20), 20, {4});
  EXPECT_EQ(all.loss, one.loss);
  EXPECT_EQ(row_of(all.logits, 0, 20), Numbers(20, 0));
  EXPECT_EQ(row_of(all.logits, 1, 20), one.logits);
  EXPECT_EQ(row_of(all.logits, 2, 20), Numbers(20, 0));
}

TEST_P(CrossEntropyOp, AddsToTheSumsAndOnlyTheFirstLargestIsCorrect) {
  const Tensor loss = fp32({10}, {1}), correct = fp32({5}, {1});
  backend().cross_entropy(
      {.logits = compute({0, 0, 0, 0}, {2, 2}), .labels = int32({0, 1}), .backward = false, .loss_sum = loss, .correct = correct});
  EXPECT_NEAR(read(loss)[0], 10 + 2 * std::log(2.0), 1e-5);
  EXPECT_EQ(read(correct)[0], 6);
}

TEST_P(CrossEntropyOp, HugeLogitsDoNotOverflowAndNonFiniteOnesShow) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const double far = precision() == DType::kFloat16 ? 65504 : 1e30;
  const Result huge = run({far, 0, -far}, 3, {0});
  EXPECT_EQ(huge.loss, 0);
  EXPECT_EQ(huge.logits, (Numbers{0, 0, 0}));
  const Result masked = run({-infinity, 1, 1}, 3, {1});
  EXPECT_NEAR(masked.loss, std::log(2.0), 1e-6);
  EXPECT_EQ(masked.logits[0], 0);
  for (const double bad : {infinity, nan}) {
    for (const size_t at : {size_t{0}, size_t{3}, size_t{40}}) {
      Numbers logits(41, 1);
      logits[at] = bad;
      const Result found = run(logits, 41, {3});
      EXPECT_FALSE(std::isfinite(found.loss)) << bad << " at " << at;
      EXPECT_TRUE(std::isnan(found.logits[at])) << bad << " at " << at;
    }
  }
}

TEST_P(CrossEntropyOp, DoesNotDependOnThreads) {
  const int64_t rows = 37, columns = 1100;
  const Numbers logits = random_numbers(rows * columns, 1);
  Numbers labels;
  for (int64_t row = 0; row < rows; ++row) labels.push_back(static_cast<double>(row * 3 - 1));
  expect_same_on_any_threads([&] {
    Result result = run(logits, columns, labels);
    result.logits.push_back(result.loss);
    return result.logits;
  });
}

TEST_P(CrossEntropyOp, RejectsWhatDoesNotFit) {
  const Tensor one = zeros(DType::kFloat32, {1}), x = zeros(precision(), {2, 3});
  const CrossEntropy good = {.logits = x, .labels = int32({0, 2}), .backward = false, .loss_sum = one, .correct = one};
  CrossEntropy op = good;
  op.labels = int32({0, 3});
  expect_numbers_rejected([&] { backend().cross_entropy(op); }, {"cross_entropy: labels[1]: expected less than 3, found 3"});
  op = good;
  op.labels = int32({0});
  expect_rejected([&] { backend().cross_entropy(op); }, {"labels: expected [2] int32", "found [1] int32"});
  op = good;
  op.term = 4;
  expect_rejected([&] { backend().cross_entropy(op); }, {"term: expected 0 to 3, found 4"});
  op = good;
  op.term = -1;
  expect_rejected([&] { backend().cross_entropy(op); }, {"term: expected 0 to 3, found -1"});
  op = good;
  op.backward = true;
  expect_rejected([&] { backend().cross_entropy(op); }, {"state: expected [104] uint8", "found left out"});
  op = good;
  op.loss_sum = zeros(DType::kFloat32, {2});
  expect_rejected([&] { backend().cross_entropy(op); }, {"loss_sum: expected [1] fp32", "found [2] fp32"});
  op = good;
  op.logits = zeros(precision(), {2, 0});
  expect_rejected([&] { backend().cross_entropy(op); }, {"logits: expected at least one column, found [2, 0]"});
}

}  // namespace
}  // namespace mpibert::test
