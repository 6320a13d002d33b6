#include "ops/cpu/matmul.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>

#include "tests/support/matmul_cases.h"
#include "tests/support/reference.h"

namespace mpibert {
namespace {

using reference::Numbers;

// The operands of a case, owned.
struct Operands {
  Operands(const MatmulCase& c, DType compute) {
    const DType output = c.float_output ? DType::kFloat32 : compute;
    a = Numbers::normal(compute, c.transpose_a ? Shape{c.k, c.m} : Shape{c.m, c.k}, 1);
    b = Numbers::normal(compute, c.transpose_b ? Shape{c.n, c.k} : Shape{c.k, c.n}, 2, 1 / std::sqrt(1.0 + static_cast<double>(c.k)));
    bias = Numbers::normal(compute, {c.n}, 3);
    derivative_at = Numbers::normal(compute, {c.m, c.n}, 4, 2);
    before = Numbers::normal(output, {c.m, c.n}, 5);
    if (c.beta == 0) before = Numbers(output, {c.m, c.n}, NAN);  // what c held does not matter
    product = before;
    activated = Numbers(compute, {c.m, c.n}, NAN);
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
  }
  void restore() { std::ranges::copy(before.bytes(), static_cast<uint8_t*>(op.c.data())); }  // what c held before

  Numbers a, b, bias, derivative_at, before, product, activated;
  Matmul op;
};

// README.md, "Tolerances": fp32 sums of K terms whose magnitudes add up to `magnitude`.
double sum_tolerance(int64_t k, double magnitude) {
  return 4 * reference::unit_roundoff(DType::kFloat32) * (std::sqrt(static_cast<double>(k)) + 4) * magnitude;
}

void expect_right(const MatmulCase& c, DType compute, cpu::MatmulEngine& engine) {
  SCOPED_TRACE(c.name + " " + std::string(name_of(compute)));
  Operands x(c, compute);
  Matmul reference_op = x.op;
  reference_op.c = x.before.tensor();
  const reference::MatmulResult expected = reference::matmul(reference_op);
  engine.matmul(x.op);
  constexpr double kLargestDerivative = 1.13;
  const double activation_error = compute == DType::kBFloat16 ? 2e-4 : 2e-6;
  const double factor = x.op.derivative_at ? kLargestDerivative : 1;
  const double rounding = reference::unit_roundoff(x.product.dtype()) + (x.op.derivative_at ? activation_error : 0);
  for (size_t i = 0; i < expected.c.size(); ++i) {
    const double got = x.product.at(static_cast<int64_t>(i)), want = expected.c[i];
    // The derivative crosses zero, so its error counts against the product before it.
    const double derivative_error = x.op.derivative_at ? activation_error * expected.magnitude[i] : 0;
    ASSERT_NEAR(got, want, factor * sum_tolerance(c.k, expected.magnitude[i]) + rounding * std::abs(want) + derivative_error + 1e-37)
        << "element " << i;
    if (!x.op.activated) continue;
    const double activated = reference::activate(c.activation, got);  // of c as it is stored
    ASSERT_NEAR(x.activated.at(static_cast<int64_t>(i)), activated,
                reference::unit_roundoff(compute) * std::abs(activated) + activation_error * std::abs(got))
        << "activated " << i;
  }
}

// Ways to multiply bf16 that this processor has: in fp32, and natively.
std::vector<bool> bfloat16_engines() {
  if (__builtin_cpu_supports("avx512bf16")) return {false, true};
  return {false};
}

TEST(Matmul, EqualsTheDoublePrecisionProduct) {
  for (const bool native : bfloat16_engines()) {
    cpu::MatmulEngine engine(native);
    for (const MatmulCase& c : matmul_test_cases()) {
      if (!native) expect_right(c, DType::kFloat32, engine);
      expect_right(c, DType::kBFloat16, engine);
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(engine.primitives_created() > 0, native);
  }
}

// The law that training rests on: threads choose who computes, never what.
TEST(Matmul, HasTheSameBitsForAnyNumberOfThreads) {
  const int before = omp_get_max_threads();
  std::vector<MatmulCase> cases = matmul_test_cases();
  for (const int64_t t : {1, 61, 500})
    for (const MatmulCase& c : matmul_layer_cases("H128", t, 128)) cases.push_back(c);
  cases.push_back({"decoder", 37, 9001, 32, false, true, 1, 0, true});
  cases.push_back({"decoder_data_gradient", 37, 32, 9001});
  const auto expect_same = [](const MatmulCase& c, DType compute, bool native) {
    SCOPED_TRACE(c.name + " " + std::string(name_of(compute)) + (native ? ", native" : ""));
    Operands x(c, compute);
    Numbers first, first_activated;
    for (const int threads : {1, 2, 3, 8}) {
      omp_set_num_threads(threads);
      cpu::MatmulEngine engine(native);  // made under this number of threads, as in a run
      x.restore();
      engine.matmul(x.op);
      if (threads == 1) first = x.product, first_activated = x.activated;
      EXPECT_TRUE(first.bytes() == x.product.bytes() && first_activated.bytes() == x.activated.bytes()) << threads << " threads";
    }
  };
  for (const MatmulCase& c : cases) {
    expect_same(c, DType::kFloat32, false);
    for (const bool native : bfloat16_engines()) expect_same(c, DType::kBFloat16, native);
  }
  omp_set_num_threads(before);
}

TEST(Matmul, LeavesTheCallersNumberOfThreads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  cpu::MatmulEngine engine;
  for (const MatmulCase& c : {MatmulCase{"small", 3, 3, 3}, MatmulCase{"large", 300, 300, 300}}) {
    Operands x(c, DType::kBFloat16);
    engine.matmul(x.op);
    EXPECT_EQ(omp_get_max_threads(), 3);
  }
  omp_set_num_threads(before);
}

// T differs in every batch; the primitives must not.
TEST(Matmul, NeedsFewPrimitivesForManyTokenCounts) {
  cpu::MatmulEngine engine(bfloat16_engines().back());  // where there are no bf16 products there are no primitives at all
  const auto run = [&](int64_t t) {
    for (const MatmulCase& c : matmul_layer_cases("H16", t, 16)) {
      Operands x(c, DType::kBFloat16);
      engine.matmul(x.op);
    }
  };
  for (int64_t t = 65; t < 1100; t += 61) run(t);
  const int64_t settled = engine.primitives_created();
  EXPECT_LT(settled, 400);
  for (int64_t t = 70; t < 1100; t += 103) run(t);
  EXPECT_LT(engine.primitives_created() - settled, 20) << "of " << settled;
}

// A row is computed by the same operations whatever rows stand beside it.
TEST(Matmul, RowsDoNotDependOnTheNumberOfRows) {
  const auto expect_same = [](DType compute, bool native) {
    cpu::MatmulEngine engine(native);
    const MatmulCase many{"many", 700, 96, 200, false, true, 1, 0, true};
    Operands whole(many, compute);
    engine.matmul(whole.op);
    for (const int64_t m : {70, 129, 260, 399, 500, 699}) {
      MatmulCase some = many;
      some.m = m;
      Operands part(some, compute);  // the same seeds: its rows are the first rows of `whole`
      engine.matmul(part.op);
      const auto& bytes = part.product.bytes();
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), whole.product.bytes().begin())) << m << " rows, " << name_of(compute);
    }
  };
  expect_same(DType::kFloat32, false);
  for (const bool native : bfloat16_engines()) expect_same(DType::kBFloat16, native);
}

}  // namespace
}  // namespace mpibert
