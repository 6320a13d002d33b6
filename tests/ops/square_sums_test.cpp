#include <cmath>
#include <limits>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

class SquareSumsOp : public OpTest {
 protected:
  Numbers run(const Tensor& input, const std::vector<Range>& ranges) {
    const Tensor output = empty(DType::kFloat64, {static_cast<int64_t>(ranges.size())}),
                 table = zeros(DType::kUInt8, {static_cast<int64_t>(sizeof(Range) * ranges.size())});
    std::vector<Range> copy = ranges;
    if (!ranges.empty()) backend().upload(Tensor(copy.data(), DType::kUInt8, table.shape()), table);
    backend().square_sums({.input = input, .ranges = table, .output = output});
    return read(output);
  }
};
MPIBERT_ON_EVERY_BACKEND(SquareSumsOp);

TEST_P(SquareSumsOp, SumOfEachRangeIsExactToDouble) {
  const int64_t n = 70001;
  const Tensor input = fp32(random_numbers(n, 1), {n});
  const Numbers x = read(input);
  const std::vector<Range> ranges = {{0, 0}, {0, 1}, {3, 36}, {0, n}, {16384, 49152}, {69999, n}};
  Numbers expected;
  for (const Range& range : ranges) {
    double sum = 0;
    for (int64_t i = range.begin; i < range.end; ++i) sum += x[static_cast<size_t>(i)] * x[static_cast<size_t>(i)];
    expected.push_back(sum);
  }
  expect_close(run(input, ranges), expected, {.relative = 1e-13}, "output");
  EXPECT_EQ(run(input, {}), Numbers{});
}

TEST_P(SquareSumsOp, NonFiniteNumbersComeThroughAndFiniteOnesDoNotOverflow) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const size_t at : {size_t{0}, size_t{37}, size_t{99}}) {
    for (const double bad : {infinity, -infinity, nan}) {
      Numbers x(100, 1);
      x[at] = bad;
      EXPECT_FALSE(std::isfinite(run(fp32(x, {100}), {{0, 100}})[0])) << bad << " at " << at;
    }
  }
  const double largest = static_cast<double>(std::numeric_limits<float>::max());
  expect_close(run(fp32(Numbers(1000, largest), {1000}), {{0, 1000}}), {1000 * largest * largest}, {.relative = 1e-13}, "output");
  const double smallest = static_cast<double>(std::numeric_limits<float>::denorm_min());
  expect_close(run(fp32(Numbers(1000, smallest), {1000}), {{0, 1000}}), {1000 * smallest * smallest}, {.relative = 1e-13}, "output");
}

TEST_P(SquareSumsOp, DoesNotDependOnThreads) {
  const int64_t n = 300000;
  const Tensor input = fp32(random_numbers(n, 1), {n});
  expect_same_on_any_threads([&] { return run(input, {{0, n}, {5, 100005}}); });
}

TEST_P(SquareSumsOp, RejectsWhatDoesNotFit) {
  const Tensor x = zeros(DType::kFloat32, {10}), ranges = zeros(DType::kUInt8, {32}), sums = zeros(DType::kFloat64, {2});
  expect_rejected([&] { backend().square_sums({.input = x, .ranges = zeros(DType::kUInt8, {31}), .output = sums}); },
                  {"square_sums: ranges: expected a multiple of 16 bytes, found 31"});
  expect_rejected([&] { backend().square_sums({.input = x, .ranges = ranges, .output = zeros(DType::kFloat64, {1})}); },
                  {"output: expected [2] fp64", "found [1] fp64"});
  expect_rejected([&] { run(zeros(DType::kBFloat16, {10}), {{0, 1}}); }, {"input: expected [10] fp32", "found [10] bf16"});
}

}  // namespace
}  // namespace mpibert::test
