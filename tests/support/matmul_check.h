#pragma once

// One product of matmul_cases.h against the double-precision reference, whoever computes it.

#include <functional>

#include "tests/support/matmul_cases.h"
#include "tests/support/reference.h"

namespace mpibert {

// The operands of a case on the host, owned.
struct MatmulOperands {
  MatmulOperands(const MatmulCase& c, DType compute);
  void restore();  // what c and row_sums held before

  reference::Numbers a, b, bias, derivative_at, before, product, activated, sums_before, row_sums;
  Matmul op;
};

// Computes the case by `multiply`, which takes operands on the host, and compares. Tolerances: tests/ops/README.md.
// fuses_gelu: kGeluTanh of 16-bit numbers may be of the sum before it is rounded to c, with the hardware's tanh.
void expect_right_product(const MatmulCase& c, DType compute, const std::function<void(const Matmul&)>& multiply, bool fuses_gelu = false);

}  // namespace mpibert
