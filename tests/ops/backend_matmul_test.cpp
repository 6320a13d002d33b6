// Products through the Backend, on every one of them.

#include <gtest/gtest.h>

#include "tests/support/backends.h"
#include "tests/support/matmul_check.h"

namespace mpibert {
namespace {

class BackendMatmul : public test::OpTest {
 protected:
  void multiply(const Matmul& host) {
    Matmul op = host;
    op.a = on_device(host.a);
    op.b = on_device(host.b);
    op.bias = on_device(host.bias);
    op.derivative_at = on_device(host.derivative_at);
    op.c = on_device(host.c);
    op.activated = on_device(host.activated);
    op.row_sums = on_device(host.row_sums);
    backend().matmul(op);
    if (host.c) backend().download(op.c, host.c);
    if (host.activated) backend().download(op.activated, host.activated);
    if (host.row_sums) backend().download(op.row_sums, host.row_sums);
  }
};
MPIBERT_ON_EVERY_BACKEND(BackendMatmul);

TEST_P(BackendMatmul, EqualsTheDoublePrecisionProduct) {
  for (const MatmulCase& c : matmul_test_cases()) {
    expect_right_product(
        c, precision(), [&](const Matmul& op) { multiply(op); }, GetParam().device.type == DeviceType::kCuda);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace mpibert
