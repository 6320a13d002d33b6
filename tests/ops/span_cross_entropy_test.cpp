#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/backends.h"
#include "tests/support/reference_norm.h"

namespace mpibert::test {
namespace {

struct Case {
  std::vector<int64_t> lengths;
  int64_t columns;
  double scale;  // of the logits
};
const Case kCases[] = {{{1}, 1, 1}, {{3, 1, 5}, 2, 4}, {{17, 300, 2}, 2, 5}, {{1000, 513}, 3, 1}, {{64, 64, 64, 64}, 2, 10}};
constexpr float kLossScale = 0.125f;

double loss_of(const Numbers& x, size_t label) {
  double largest = x[0], sum = 0;
  for (const double each : x) largest = std::max(largest, each);
  for (const double each : x) sum += std::exp(each - largest);
  return std::log(sum) + largest - x[label];
}

class SpanCrossEntropyOp : public OpTest {
 protected:
  struct Result {
    Numbers logits;
    double loss = 0, correct = 0;
  };
  Result run(const Numbers& logits, const std::vector<int64_t>& lengths, int64_t columns, int64_t column, const Numbers& labels,
             bool backward = true) {
    Numbers begins(1, 0);
    for (const int64_t length : lengths) begins.push_back(begins.back() + static_cast<double>(length));
    const Tensor x = compute(logits, {static_cast<int64_t>(begins.back()), columns}), loss = zeros(DType::kFloat32, {1}),
                 correct = zeros(DType::kFloat32, {1});
    backend().span_cross_entropy({.logits = x,
                                  .cu_seqlens = int32(begins),
                                  .labels = int32(labels),
                                  .state = backward ? state({.loss_weights = {0, 0, kLossScale / 4, 0}, .loss_scale = 4}) : Tensor{},
                                  .column = column,
                                  .term = 2,
                                  .backward = backward,
                                  .loss_sum = loss,
                                  .correct = correct});
    return {read(x), read(loss)[0], read(correct)[0]};
  }
};
MPIBERT_ON_EVERY_BACKEND(SpanCrossEntropyOp);

TEST_P(SpanCrossEntropyOp, LossAndGradientMatchTheReference) {
  for (const Case& c : kCases) {
    for (int64_t column = 0; column < c.columns; ++column) {
      SCOPED_TRACE(testing::Message() << c.lengths.size() << " sequences, column " << column << " of " << c.columns);
      int64_t tokens = 0;
      for (const int64_t length : c.lengths) tokens += length;
      const Numbers logits = rounded(random_numbers(tokens * c.columns, 1, c.scale));
      Numbers labels, expected = logits;
      double loss = 0, correct = 0;
      size_t begin = 0;
      for (size_t b = 0; b < c.lengths.size(); ++b) {
        const auto length = static_cast<size_t>(c.lengths[b]);
        const auto at = [&](size_t i) { return (begin + i) * static_cast<size_t>(c.columns) + static_cast<size_t>(column); };
        Numbers x;
        for (size_t i = 0; i < length; ++i) x.push_back(logits[at(i)]);
        const auto first_largest = static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin());
        const size_t label = b % 2 ? first_largest : b * 7 % length;
        labels.push_back(static_cast<double>(label));
        loss += loss_of(x, label);
        correct += first_largest == label;
        for (size_t i = 0; i < length; ++i)  // differences where they are cheap, else the known derivative
          expected[at(i)] = static_cast<double>(kLossScale) *
                            (length <= 17 ? central_difference([&](const Numbers& moved) { return loss_of(moved, label); }, x, i)
                                          : std::exp(-loss_of(x, i)) - (i == label));
        begin += length;
      }
      const Result found = run(logits, c.lengths, c.columns, column, labels);
      expect_close({found.loss}, {loss}, {.relative = 0x1p-23, .absolute = static_cast<double>(c.lengths.size()) * 0x1p-20}, "loss_sum");
      EXPECT_EQ(found.correct, correct);
      expect_close(found.logits, expected, stored({.relative = 0x1p-18, .absolute = 0x1p-23}), "gradient");
      const Result forward_only = run(logits, c.lengths, c.columns, column, labels, false);
      EXPECT_EQ(forward_only.logits, logits);
      EXPECT_EQ(forward_only.loss, found.loss);
    }
  }
}

TEST_P(SpanCrossEntropyOp, NegativeLabelsCountForNothingAndOtherColumnsStay) {
  const std::vector<int64_t> lengths = {4, 3, 2};
  const Numbers logits = rounded(random_numbers(9 * 2, 1));
  const Result all = run(logits, lengths, 2, 1, {-1, 2, -100}), one = run({logits.begin() + 8, logits.begin() + 14}, {3}, 2, 1, {2});
  EXPECT_EQ(all.loss, one.loss);
  for (size_t token = 0; token < 9; ++token) {
    EXPECT_EQ(all.logits[2 * token], logits[2 * token]) << token;
    EXPECT_EQ(all.logits[2 * token + 1], token >= 4 && token < 7 ? one.logits[2 * (token - 4) + 1] : 0) << token;
  }
}

TEST_P(SpanCrossEntropyOp, AddsToTheSumsAndOnlyTheFirstLargestIsCorrect) {
  const Tensor loss = fp32({10}, {1}), correct = fp32({5}, {1});
  backend().span_cross_entropy({.logits = compute({0, 0, 0, 0}, {4, 1}),
                                .cu_seqlens = int32({0, 2, 4}),
                                .labels = int32({0, 1}),
                                .backward = false,
                                .loss_sum = loss,
                                .correct = correct});
  EXPECT_NEAR(read(loss)[0], 10 + 2 * std::log(2.0), 1e-5);
  EXPECT_EQ(read(correct)[0], 6);
}

TEST_P(SpanCrossEntropyOp, HugeLogitsDoNotOverflowAndNonFiniteOnesShow) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const double far = precision() == DType::kFloat16 ? 65504 : 1e30;
  const Result huge = run({far, 0, -far}, {3}, 1, 0, {0});
  EXPECT_EQ(huge.loss, 0);
  EXPECT_EQ(huge.logits, (Numbers{0, 0, 0}));
  EXPECT_NEAR(run({-infinity, 1, 1}, {3}, 1, 0, {1}).loss, std::log(2.0), 1e-6);
  for (const double bad : {infinity, nan}) {
    Numbers logits(41, 1);
    logits[30] = bad;
    const Result found = run(logits, {41}, 1, 0, {3});
    EXPECT_FALSE(std::isfinite(found.loss)) << bad;
    EXPECT_TRUE(std::isnan(found.logits[30])) << bad;
  }
}

TEST_P(SpanCrossEntropyOp, DoesNotDependOnThreads) {
  const std::vector<int64_t> lengths(40, 500);
  const Numbers logits = random_numbers(40 * 500 * 2, 1);
  Numbers labels;
  for (int64_t b = 0; b < 40; ++b) labels.push_back(static_cast<double>(b * 3 - 1));
  expect_same_on_any_threads([&] {
    Result result = run(logits, lengths, 2, 1, labels);
    result.logits.push_back(result.loss);
    return result.logits;
  });
}

TEST_P(SpanCrossEntropyOp, RejectsWhatDoesNotFit) {
  const Tensor one = zeros(DType::kFloat32, {1}), x = zeros(precision(), {5, 2});
  const SpanCrossEntropy good = {
      .logits = x, .cu_seqlens = int32({0, 2, 5}), .labels = int32({1, 2}), .backward = false, .loss_sum = one, .correct = one};
  SpanCrossEntropy op = good;
  op.labels = int32({2, 2});
  expect_numbers_rejected([&] { backend().span_cross_entropy(op); },
                          {"span_cross_entropy: labels[0]: expected less than the 2 tokens of its sequence, found 2"});
  op = good;
  op.cu_seqlens = int32({0, 5});
  expect_rejected([&] { backend().span_cross_entropy(op); }, {"cu_seqlens: expected [3] int32", "found [2] int32"});
  for (const int64_t column : {-1, 2}) {
    op = good;
    op.column = column;
    expect_rejected([&] { backend().span_cross_entropy(op); }, {"column: expected 0 to 1, found " + std::to_string(column)});
  }
  op = good;
  op.backward = true;
  expect_rejected([&] { backend().span_cross_entropy(op); }, {"state: expected [104] uint8", "found left out"});
  op = good;
  op.correct = zeros(DType::kFloat32, {2});
  expect_rejected([&] { backend().span_cross_entropy(op); }, {"correct: expected [1] fp32", "found [2] fp32"});
  op = good;
  op.term = 4;
  expect_rejected([&] { backend().span_cross_entropy(op); }, {"term: expected 0 to 3, found 4"});
}

}  // namespace
}  // namespace mpibert::test
