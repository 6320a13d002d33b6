#include "tests/support/matmul_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace mpibert {

using reference::Numbers;

MatmulOperands::MatmulOperands(const MatmulCase& c, DType compute) {
  const DType output = c.float_output ? DType::kFloat32 : compute;
  a = Numbers::normal(compute, c.transpose_a ? Shape{c.k, c.m} : Shape{c.m, c.k}, 1);
  b = Numbers::normal(compute, c.transpose_b ? Shape{c.n, c.k} : Shape{c.k, c.n}, 2, 1 / std::sqrt(1.0 + static_cast<double>(c.k)));
  bias = Numbers::normal(compute, {c.n}, 3);
  derivative_at = Numbers::normal(compute, {c.m, c.n}, 4, 2);
  before = Numbers::normal(output, {c.m, c.n}, 5);
  if (c.beta == 0) before = Numbers(output, {c.m, c.n}, NAN);  // what c held does not matter
  product = before;
  activated = Numbers(compute, {c.m, c.n}, NAN);
  sums_before = row_sums = Numbers::normal(DType::kFloat32, {c.m}, 6);
  op = {.a = a.tensor(),
        .b = b.tensor(),
        .transpose_a = c.transpose_a,
        .transpose_b = c.transpose_b,
        .alpha = c.alpha,
        .beta = c.beta,
        .activation = c.activation,
        .c = product.tensor()};
  if (c.bias) op.bias = bias.tensor();
  if (c.activation != Activation::kNone && c.derivative) op.derivative_at = derivative_at.tensor();
  if (c.activation != Activation::kNone && !c.derivative) op.activated = activated.tensor();
  if (c.row_sums) op.row_sums = row_sums.tensor();
}

void MatmulOperands::restore() {
  std::ranges::copy(before.bytes(), static_cast<uint8_t*>(op.c.data()));
  if (op.row_sums) std::ranges::copy(sums_before.bytes(), static_cast<uint8_t*>(op.row_sums.data()));
}

namespace {

// README.md, "Tolerances": fp32 sums of K terms whose magnitudes add up to `magnitude`.
double sum_tolerance(int64_t k, double magnitude) {
  return 4 * reference::unit_roundoff(DType::kFloat32) * (std::sqrt(static_cast<double>(k)) + 4) * magnitude;
}

// The sum of each row of op(a), which is transposed, beside what stood there.
void expect_right_sums(MatmulOperands& x) {
  const int64_t m = x.row_sums.size(), k = x.a.shape()[0];
  for (int64_t row = 0; row < m; ++row) {
    double sum = x.sums_before.at(row), magnitude = std::abs(sum);
    for (int64_t l = 0; l < k; ++l) {
      sum += x.a.at(l * m + row);
      magnitude += std::abs(x.a.at(l * m + row));
    }
    ASSERT_NEAR(x.row_sums.at(row), sum, sum_tolerance(k, magnitude)) << "sum of row " << row;
  }
}

}  // namespace

void expect_right_product(const MatmulCase& c, DType compute, const std::function<void(const Matmul&)>& multiply, bool fuses_gelu) {
  SCOPED_TRACE(c.name + " " + std::string(name_of(compute)));
  MatmulOperands x(c, compute);
  Matmul reference_op = x.op;
  reference_op.c = x.before.tensor();
  const reference::MatmulResult expected = reference::matmul(reference_op);
  multiply(x.op);
  constexpr double kLargestDerivative = 1.13;
  const bool fused = fuses_gelu && c.activation == Activation::kGeluTanh && x.product.dtype() != DType::kFloat32;
  const double activation_error = fused ? 0x1p-11 : compute == DType::kBFloat16 ? 2e-4 : 2e-6;
  const double factor = x.op.derivative_at ? kLargestDerivative : 1;
  const double rounding = reference::unit_roundoff(x.product.dtype()) + (x.op.derivative_at ? activation_error : 0);
  const double before_rounding = fused ? kLargestDerivative * reference::unit_roundoff(compute) : 0;
  for (size_t i = 0; i < expected.c.size(); ++i) {
    const double got = x.product.at(static_cast<int64_t>(i)), want = expected.c[i];
    // The derivative crosses zero, so its error counts against the product before it.
    const double derivative_error = x.op.derivative_at ? activation_error * expected.magnitude[i] : 0;
    ASSERT_NEAR(got, want,
                factor * sum_tolerance(c.k, expected.magnitude[i]) + rounding * std::abs(want) + reference::underflow(x.product.dtype()) +
                    derivative_error + 1e-37)
        << "element " << i;
    if (!x.op.activated) continue;
    const double activated = reference::activate(c.activation, got);  // of c as it is stored
    ASSERT_NEAR(x.activated.at(static_cast<int64_t>(i)), activated,
                reference::unit_roundoff(compute) * std::abs(activated) + reference::underflow(compute) + activation_error * std::abs(got) +
                    before_rounding * std::abs(got))
        << "activated " << i;
  }
  if (x.op.row_sums) expect_right_sums(x);
}

}  // namespace mpibert
