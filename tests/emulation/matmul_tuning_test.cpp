// The choice of algorithms, among those of the double (cublaslt.h).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "mpibert/base/error.h"
#include "mpibert/ops/backend.h"
#include "mpibert/ops/planning_backend.h"
#include "tests/emulation/cublaslt.h"
#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using testing::HasSubstr;

class MatmulTuning : public testing::Test {
 protected:
  MatmulTuning() : backend_(make_backend({DeviceType::kCuda, 0})), tuner_(*backend_->matmul_tuner()) { take(1, 1, 1, 1); }
  ~MatmulTuning() override { emulation::matmul_milliseconds() = usual_; }

  // The times of the algorithms 0 to 3.
  static void take(double first, double backwards, double halves, double in_place) {
    emulation::matmul_milliseconds() = {first, backwards, halves, in_place};
  }

  // [8, 16] = a^T b over k terms, fp32.
  Matmul product(int64_t k) {
    a_ = backend_->allocate(static_cast<size_t>(k) * 8 * sizeof(float));
    b_ = backend_->allocate(static_cast<size_t>(k) * 16 * sizeof(float));
    c_ = backend_->allocate(8 * 16 * sizeof(float));
    return {.a = a_.view(DType::kFloat32, {k, 8}),
            .b = b_.view(DType::kFloat32, {k, 16}),
            .transpose_a = true,
            .c = c_.view(DType::kFloat32, {8, 16})};
  }
  int64_t measure(const Matmul& op) { return tuner_.measure(std::span(&op, 1)); }

  std::vector<float> computed(Backend& backend, int64_t k) {
    const Matmul op = product(k);
    fill(op.a, 1);
    fill(op.b, 2);
    backend.matmul(op);
    std::vector<float> c(8 * 16);
    backend.download(op.c, host_tensor(std::span(c), {8, 16}));
    return c;
  }
  void fill(const Tensor& t, uint64_t seed) {
    const Numbers numbers = random_numbers(t.size(), seed);
    std::vector<float> host(numbers.begin(), numbers.end());
    backend_->upload(host_tensor(std::span(host), t.shape()), t);
  }

  void expect_refused(const std::string& table, ErrorKind kind, const std::string& words) {
    const std::string before = tuner_.table();
    try {
      tuner_.use(table);
      ADD_FAILURE() << "taken: " << table;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(words));
    }
    EXPECT_EQ(tuner_.table(), before);
  }

  const std::array<double, 4> usual_ = emulation::matmul_milliseconds();
  std::unique_ptr<Backend> backend_;
  MatmulTuner& tuner_;
  Buffer a_, b_, c_;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " is not in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST_F(MatmulTuning, TakesTheFastestThatAddsInOrder) {
  take(1, 0.75, 0.5, 0.1);
  EXPECT_EQ(measure(product(34)), 1);
  EXPECT_THAT(tuner_.algorithm_of(product(34)), HasSubstr("\"id\":2,\"tile\":18,\"stages\":8,\"split_k\":2,\"reduction\":2"));
  EXPECT_EQ(measure(product(34)), 0) << "known already";
  EXPECT_EQ(measure(product(36)), 0) << "of the same class";
  EXPECT_EQ(measure(product(38)), 1) << "of the next one";
}

TEST_F(MatmulTuning, StaysWithTheFirstChoiceForTwoPercent) {
  take(1, 0.985, 1, 1);
  measure(product(34));
  EXPECT_THAT(tuner_.table(), HasSubstr("\"algorithm\":null"));
  EXPECT_THAT(tuner_.algorithm_of(product(34)), HasSubstr("\"id\":0"));
  take(1, 0.975, 1, 1);
  measure(product(64));
  EXPECT_THAT(tuner_.algorithm_of(product(64)), HasSubstr("\"id\":1,\"tile\":20,\"stages\":12,\"split_k\":1,\"reduction\":0,\"swizzling\":"
                                                          "1,\"custom_option\":3,\"inner_shape\":2,\"cluster_shape\":5"));
}

// A class holds sums of 33 to 36 terms; the algorithm in halves is for even numbers.
TEST_F(MatmulTuning, TakesTheFirstChoiceWhereTheLibraryRefuses) {
  const std::vector<float> before = computed(*backend_, 33);
  take(1, 1, 0.5, 1);
  measure(product(34));
  EXPECT_THAT(tuner_.algorithm_of(product(34)), HasSubstr("\"id\":2"));
  EXPECT_THAT(tuner_.algorithm_of(product(33)), HasSubstr("\"id\":0"));
  EXPECT_EQ(computed(*backend_, 33), before);
}

TEST_F(MatmulTuning, ATableGivesTheSameBitsElsewhere) {
  const std::vector<float> first_choice = computed(*backend_, 34);
  take(1, 0.5, 1, 1);
  measure(product(34));
  const std::vector<float> expected = computed(*backend_, 34);
  EXPECT_NE(expected, first_choice);
  const std::unique_ptr<Backend> other = make_backend({DeviceType::kCuda, 0});
  EXPECT_EQ(computed(*other, 34), first_choice);
  other->matmul_tuner()->use(tuner_.table());
  EXPECT_EQ(other->matmul_tuner()->table(), tuner_.table());
  EXPECT_EQ(computed(*other, 34), expected);
}

TEST_F(MatmulTuning, RefusesWhatIsNoTableOfThisPlatform) {
  take(1, 1, 0.5, 1);
  measure(product(34));
  const std::string good = tuner_.table();
  expect_refused("", ErrorKind::kCorrupt, "this is no table of matmul algorithms");
  expect_refused(good.substr(0, good.size() / 2), ErrorKind::kCorrupt, "this is no table of matmul algorithms");
  expect_refused("[]", ErrorKind::kCorrupt, "this is no table of matmul algorithms");
  expect_refused(replaced(good, "\"version\": 1", "\"version\": 2"), ErrorKind::kCorrupt,
                 "expected format \"mpibert matmul algorithms\" of version 1");
  expect_refused(replaced(good, "\"epilogue\":\"default\"", "\"epilogue\":\"sine\""), ErrorKind::kCorrupt, "there is no epilogue 'sine'");
  expect_refused(replaced(good, "\"m\":8", "\"m\":-8"), ErrorKind::kCorrupt, "m, n and k: expected 1 or more");
  expect_refused(replaced(good, "\"reduction\":2", "\"reduction\":1"), ErrorKind::kCorrupt, "does not add in a fixed order");
  expect_refused(replaced(good, tuner_.platform(), "another-card"), ErrorKind::kInvalidArgument,
                 "measured on another-card, but this is " + tuner_.platform());
}

// An id or a tile that the library does not have is for the library to refuse.
TEST_F(MatmulTuning, TakesTheFirstChoiceForAnAlgorithmThatIsNone) {
  take(1, 1, 0.5, 1);
  measure(product(34));
  for (const char* wrong : {"\"id\":9", "\"id\":1"}) {
    tuner_.use(replaced(tuner_.table(), "\"id\":2", wrong));
    EXPECT_THAT(tuner_.algorithm_of(product(34)), HasSubstr("\"id\":0")) << wrong;
    tuner_.use(replaced(tuner_.table(), wrong, "\"id\":2"));
  }
}

// What is measured need not be there: the products of a model that ran on a backend that only looks.
TEST_F(MatmulTuning, MeasuresPlannedProducts) {
  std::vector<Matmul> seen;
  const std::unique_ptr<Backend> plan = make_planning_backend(DeviceType::kCuda, [&](const Matmul& op) { seen.push_back(op); });
  const Buffer memory = plan->allocate(1 << 20);
  const auto matrix = [&](DType dtype, int64_t rows, int64_t columns) { return memory.view(dtype, {rows, columns}); };
  const Tensor sums = memory.view(DType::kFloat32, {48});
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    plan->matmul({.a = matrix(dtype, 34, 48),
                  .b = matrix(dtype, 34, 16),
                  .transpose_a = true,
                  .beta = 1,
                  .c = matrix(DType::kFloat32, 48, 16),
                  .row_sums = sums});
    plan->matmul({.a = matrix(dtype, 34, 48),
                  .b = matrix(dtype, 48, 16),
                  .activation = Activation::kGeluTanh,
                  .c = matrix(dtype, 34, 16),
                  .activated = matrix(dtype, 34, 16)});
    plan->matmul({.a = matrix(dtype, 34, 48),
                  .b = matrix(dtype, 48, 16),
                  .activation = Activation::kGelu,
                  .derivative_at = matrix(dtype, 34, 16),
                  .c = matrix(dtype, 34, 16)});
  }
  ASSERT_EQ(seen.size(), 6u);
  EXPECT_EQ(tuner_.measure(seen), 7)
      << "in fp32 two: passes of our own follow; in bf16 two that fuse, the same alone, and one whose result is fp32";
  EXPECT_THAT(tuner_.table(), testing::AllOf(HasSubstr("\"epilogue\":\"bgradb\",\"compute\":\"bf16\",\"output\":\"fp32\""),
                                             HasSubstr("\"epilogue\":\"gelu_aux\",\"compute\":\"bf16\"")));
  EXPECT_EQ(tuner_.measure(seen), 0);
}

// Its two ways, the library's and with a pass of our own, differ in the last bits: sums backwards are the library's.
TEST_F(MatmulTuning, FusesWhereThatIsFaster) {
  take(1, 0.5, 1, 1);
  const auto sums = [&](double fused_milliseconds) {
    emulation::fused_milliseconds() = fused_milliseconds;
    const std::unique_ptr<Backend> backend = make_backend({DeviceType::kCuda, 0});
    const Buffer memory = backend->allocate(34 * 48 * 2), product_memory = backend->allocate(48 * 48 * 4),
                 sums_memory = backend->allocate(48 * 4);
    const Tensor a = memory.view(DType::kBFloat16, {34, 48}), c = product_memory.view(DType::kFloat32, {48, 48}),
                 row_sums = sums_memory.view(DType::kFloat32, {48});
    std::vector<uint16_t> numbers(34 * 48);
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<uint16_t>(0x3f80 + i * 7919 % 3001);  // 1 to 2^23
    backend->upload(Tensor(numbers.data(), DType::kBFloat16, {34, 48}), a);
    backend->zero(row_sums);
    const Matmul op{.a = a, .b = a, .transpose_a = true, .c = c, .row_sums = row_sums};
    backend->matmul_tuner()->measure(std::span(&op, 1));
    backend->matmul(op);
    std::vector<float> found(48);
    backend->download(row_sums, host_tensor(std::span(found), {48}));
    emulation::fused_milliseconds() = 0;
    return std::pair(found, backend->matmul_tuner()->table());
  };
  const auto [fused, table_of_fused] = sums(0);
  const auto [ours, table_of_ours] = sums(0.1);
  EXPECT_NE(fused, ours);
  EXPECT_THAT(table_of_fused, testing::Not(HasSubstr("\"declined\":true")));
  EXPECT_THAT(table_of_ours, HasSubstr("\"declined\":true"));
}

}  // namespace
}  // namespace mpibert::test
