#include <cmath>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using ColumnSumOp = OpTest;
MPIBERT_ON_EVERY_BACKEND(ColumnSumOp);

TEST_P(ColumnSumOp, AddsTheSumOfEveryColumn) {
  const std::vector<std::pair<int64_t, int64_t>> cases = {{1, 1}, {3, 17}, {33, 5}, {64, 48}, {1000, 31}, {5000, 3}, {0, 4}};
  for (const auto& [rows, columns] : cases) {
    const Numbers x = rounded(random_numbers(rows * columns, 1)), start = random_numbers(columns, 2);
    const Tensor output = fp32(start, {columns});
    Numbers expected = read(output);
    for (size_t i = 0; i < x.size(); ++i) expected[i % static_cast<size_t>(columns)] += x[i];
    backend().column_sum({.input = compute(x, {rows, columns}), .output = output});
    // Blocks of rows / 64 and 64 blocks: fewer than 32 + rows / 64 + 64 additions, of partial sums up to 5 sqrt(rows).
    const double additions = 96 + static_cast<double>(rows) / 64;
    expect_close(read(output), expected, {.absolute = 0x1p-24 * std::sqrt(additions) * 5 * std::sqrt(static_cast<double>(rows + 1))},
                 "output");
  }
}

TEST_P(ColumnSumOp, DoesNotDependOnThreads) {
  const int64_t rows = 1237, columns = 70;
  const Tensor input = compute(random_numbers(rows * columns, 1), {rows, columns});
  expect_same_on_any_threads([&] {
    const Tensor output = zeros(DType::kFloat32, {columns});
    backend().column_sum({.input = input, .output = output});
    return read(output);
  });
}

TEST_P(ColumnSumOp, RejectsWhatDoesNotFit) {
  const Tensor x = zeros(precision(), {4, 8});
  expect_rejected([&] { backend().column_sum({.input = x, .output = zeros(DType::kFloat32, {4})}); },
                  {"column_sum: output: expected [8] fp32", "found [4] fp32"});
  expect_rejected([&] { backend().column_sum({.input = x, .output = zeros(DType::kBFloat16, {8})}); },
                  {"output: expected [8] fp32", "found [8] bf16"});
  expect_rejected([&] { backend().column_sum({.input = zeros(precision(), {4}), .output = x}); },
                  {"input: " + expected_precisions() + " of 2 dimensions"});
}

}  // namespace
}  // namespace mpibert::test
