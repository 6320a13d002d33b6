#include "ops/cpu/matmul.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>

#include "tests/support/matmul_check.h"

namespace mpibert {
namespace {

using reference::Numbers;

// Ways to multiply bf16 that this processor has: in fp32, and natively.
std::vector<bool> bfloat16_engines() {
  if (__builtin_cpu_supports("avx512bf16")) return {false, true};
  return {false};
}

TEST(Matmul, EqualsTheDoublePrecisionProduct) {
  for (const bool native : bfloat16_engines()) {
    cpu::MatmulEngine engine(native);
    const auto multiply = [&](const Matmul& op) { engine.matmul(op); };
    for (const MatmulCase& c : matmul_test_cases()) {
      if (!native) expect_right_product(c, DType::kFloat32, multiply);
      expect_right_product(c, DType::kBFloat16, multiply);
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
    MatmulOperands x(c, compute);
    Numbers first, first_activated, first_sums;
    for (const int threads : {1, 2, 3, 8}) {
      omp_set_num_threads(threads);
      cpu::MatmulEngine engine(native);  // made under this number of threads, as in a run
      x.restore();
      engine.matmul(x.op);
      if (threads == 1) first = x.product, first_activated = x.activated, first_sums = x.row_sums;
      EXPECT_TRUE(first.bytes() == x.product.bytes() && first_activated.bytes() == x.activated.bytes() &&
                  first_sums.bytes() == x.row_sums.bytes())
          << threads << " threads";
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
    MatmulOperands x(c, DType::kBFloat16);
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
      MatmulOperands x(c, DType::kBFloat16);
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
    MatmulOperands whole(many, compute);
    engine.matmul(whole.op);
    for (const int64_t m : {70, 129, 260, 399, 500, 699}) {
      MatmulCase some = many;
      some.m = m;
      MatmulOperands part(some, compute);  // the same seeds: its rows are the first rows of `whole`
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
