#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using AddOp = OpTest;
MPIBERT_ON_EVERY_BACKEND(AddOp);

TEST_P(AddOp, AddsExactlyAsFloatsDo) {
  for (const int64_t n : {0, 1, 15, 16, 17, 40000}) {
    const Tensor a = fp32(random_numbers(n, 1), {n}), b = fp32(random_numbers(n, 2), {n}), c = empty(DType::kFloat32, {n});
    const Numbers x = read(a), y = read(b);
    Numbers expected;
    for (size_t i = 0; i < x.size(); ++i) expected.push_back(static_cast<double>(static_cast<float>(x[i]) + static_cast<float>(y[i])));
    backend().add({.a = a, .b = b, .c = c});
    EXPECT_EQ(read(c), expected);
    backend().add({.a = a, .b = b, .c = a});
    EXPECT_EQ(read(a), expected);
    backend().add({.a = a, .b = b, .c = b});
    EXPECT_EQ(read(b).size(), expected.size());
  }
}

TEST_P(AddOp, RejectsWhatDoesNotFit) {
  const Tensor a = zeros(DType::kFloat32, {4});
  expect_rejected([&] { backend().add({.a = a, .b = zeros(DType::kFloat32, {5}), .c = a}); },
                  {"add: b: expected [4] fp32", "found [5] fp32"});
  expect_rejected([&] { backend().add({.a = zeros(DType::kBFloat16, {4}), .b = a, .c = a}); },
                  {"add: a: expected [4] fp32", "found [4] bf16"});
  expect_rejected([&] { backend().add({.a = a, .b = a}); }, {"add: c: expected [4] fp32 on c", "found left out"});
}

}  // namespace
}  // namespace mpibert::test
