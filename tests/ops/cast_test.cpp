#include <cmath>
#include <limits>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using CastOp = OpTest;
MPIBERT_ON_EVERY_BACKEND(CastOp);

TEST_P(CastOp, RoundsToNearestEven) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  Numbers x = {1, 1.00390625, 1.01171875, -2.5, 0, 3.4e38, infinity, -infinity, nan, 1e-40};
  for (const double y : random_numbers(50000, 1)) x.push_back(y);
  const int64_t n = static_cast<int64_t>(x.size());
  const Tensor input = fp32(x, {n}), output = empty({n}), back = empty(DType::kFloat32, {n});
  backend().cast({.input = input, .output = output});
  EXPECT_TRUE(std::isnan(read(output)[8]));
  expect_close(read(output), rounded(x), {}, "output");  // the conversion of base/dtype.h, to the bit
  backend().cast({.input = output, .output = back});
  expect_close(read(back), read(output), {}, "back in fp32");
}

// fp16 is on cards only; there each of the three is cast to each.
TEST_P(CastOp, RoundsOnceFromEachPrecisionToEach) {
  if (GetParam().device.type == DeviceType::kCpu) return;
  for (const DType to : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    const Numbers x = rounded(random_numbers(1000, 1));
    const Tensor output = empty(to, {1000});
    backend().cast({.input = compute(x, {1000}), .output = output});
    expect_close(read(output), read(tensor(to, x, {1000})), {}, std::string(name_of(to)));
  }
}

TEST_P(CastOp, RejectsWhatDoesNotFit) {
  const Tensor a = zeros(precision(), {4});
  expect_rejected([&] { backend().cast({.input = a, .output = zeros(DType::kFloat32, {5})}); },
                  {"cast: output: expected [4] fp32", "found [5] fp32"});
  expect_rejected([&] { backend().cast({.input = a, .output = zeros(DType::kInt32, {4})}); },
                  {"cast: output: " + expected_precisions(), "found [4] int32"});
}

}  // namespace
}  // namespace mpibert::test
