// gather_rows and scatter_rows.

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using Rows = OpTest;
MPIBERT_ON_EVERY_BACKEND(Rows);

TEST_P(Rows, GatherTakesRowsAndScatterAddsThemBack) {
  for (const int64_t hidden : {1, 17, 64, 1000}) {
    const int64_t rows = 40;
    const Numbers indices = {39, 0, 7, 8, 21}, x = rounded(random_numbers(rows * hidden, 1));
    const int64_t picked = static_cast<int64_t>(indices.size());
    const Tensor output = empty({picked, hidden});
    backend().gather_rows({.input = compute(x, {rows, hidden}), .indices = int32(indices), .output = output});
    Numbers expected, twice = x;
    for (const double index : indices)
      for (int64_t i = 0; i < hidden; ++i) {
        const size_t at = static_cast<size_t>(static_cast<int64_t>(index) * hidden + i);
        expected.push_back(x[at]);
        twice[at] = 2 * x[at];
      }
    EXPECT_EQ(read(output), expected);
    const Tensor table = compute(x, {rows, hidden});
    backend().scatter_rows({.input = output, .indices = int32(indices), .output = table});
    EXPECT_EQ(read(table), twice);  // doubling is exact, and no other row is touched
  }
}

TEST_P(Rows, NoRowsIsNothing) {
  const Tensor table = compute({1, 2}, {1, 2}), none = zeros(precision(), {0, 2});
  backend().gather_rows({.input = table, .indices = int32({}), .output = none});
  backend().scatter_rows({.input = none, .indices = int32({}), .output = table});
  EXPECT_EQ(read(table), (Numbers{1, 2}));
}

TEST_P(Rows, RejectWhatDoesNotFit) {
  const Tensor x = zeros(precision(), {4, 8}), two = zeros(precision(), {2, 8});
  expect_numbers_rejected(
      [&] {
        backend().gather_rows({.input = x, .indices = int32({0, 4}), .output = two});
      },
      {"gather_rows: indices[1]: expected 0 to 3, found 4"});
  expect_numbers_rejected(
      [&] {
        backend().gather_rows({.input = x, .indices = int32({-1, 0}), .output = two});
      },
      {"indices[0]: expected 0 to 3, found -1"});
  expect_rejected([&] { backend().gather_rows({.input = x, .indices = int32({1}), .output = two}); },
                  {"indices: expected [2] int32", "found [1] int32"});
  expect_rejected(
      [&] {
        backend().gather_rows({.input = x, .indices = int32({1, 2}), .output = zeros(precision(), {2, 7})});
      },
      {"output: expected [2, 8]", "found [2, 7]"});
  expect_numbers_rejected(
      [&] {
        backend().scatter_rows({.input = two, .indices = int32({3, 3}), .output = x});
      },
      {"scatter_rows: indices[1]: expected all different, found 3 again"});
  expect_numbers_rejected(
      [&] {
        backend().scatter_rows({.input = two, .indices = int32({3, 9}), .output = x});
      },
      {"indices[1]: expected 0 to 3, found 9"});
}

}  // namespace
}  // namespace mpibert::test
