#pragma once

// Tests of operations run on every backend of this build in every precision. A test file says
//
//   using LayerNorm = mpibert::test::OpTest;
//   MPIBERT_ON_EVERY_BACKEND(LayerNorm);
//   TEST_P(LayerNorm, ForwardMatchesTheReference) { ... backend().layer_norm_forward({.input = compute(x, {rows, hidden}), ...}); ... }
//
// CUDA is among them where this process has a card: a real one, or the emulated one of tests/emulation.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert::test {

using Numbers = std::vector<double>;

struct BackendCase {
  Device device;
  DType precision;
};
std::vector<BackendCase> backend_cases();
std::string case_name(const testing::TestParamInfo<BackendCase>& info);  // "cpu_bf16"
void PrintTo(const BackendCase& backend_case, std::ostream* out);

// The devices alone, for tests that choose their precision, with names "cpu" and "cuda".
std::vector<Device> devices();
std::string device_name(Device device);

#define MPIBERT_ON_EVERY_BACKEND(Suite) \
  INSTANTIATE_TEST_SUITE_P(Backends, Suite, testing::ValuesIn(mpibert::test::backend_cases()), mpibert::test::case_name)

// n normal numbers times `scale`: a function of the arguments.
Numbers random_numbers(int64_t n, uint64_t seed, double scale = 1);

// How far a result may be from the double-precision reference: absolute + relative * |reference|. See tests/ops/README.md.
struct Tolerance {
  double relative = 0, absolute = 0;
};
// Names the worst element. Two NaN are equal, and so are two infinities of one sign.
void expect_close(const Numbers& found, const Numbers& expected, Tolerance tolerance, const std::string& what);

// The derivative of f with respect to x[i] by the difference of two points, error O(h^2), in double.
double central_difference(const std::function<double(const Numbers&)>& f, Numbers x, size_t i, double h = 1e-5);

// Tensors on the device of the case; they live as long as the test. Host numbers are double and are rounded on the way.
class OpTest : public testing::TestWithParam<BackendCase> {
 protected:
  Backend& backend();
  DType precision() const { return GetParam().precision; }
  double roundoff() const;  // of the precision, half a unit in the last place: 2^-24, 2^-8 or 2^-11
  // Of a result with such an error that is then rounded to the precision.
  Tolerance stored(Tolerance computed = {}) const;
  // "expected fp32 or bf16", and fp16 on a card: what a message says of an operand of the precision.
  std::string expected_precisions() const;

  Tensor tensor(DType dtype, const Numbers& numbers, Shape shape);
  Tensor compute(const Numbers& numbers, Shape shape) { return tensor(precision(), numbers, shape); }
  Tensor fp32(const Numbers& numbers, Shape shape) { return tensor(DType::kFloat32, numbers, shape); }
  Tensor int32(const Numbers& numbers) { return tensor(DType::kInt32, numbers, {static_cast<int64_t>(numbers.size())}); }
  Tensor empty(DType dtype, Shape shape);  // filled with NaN: an operation must write all of its output
  Tensor empty(Shape shape) { return empty(precision(), shape); }
  Tensor zeros(DType dtype, Shape shape);
  Tensor state(const StepState& state);
  // A copy of a host tensor on the device; of one that is left out, the same.
  Tensor on_device(const Tensor& host);
  // A dropout with its state and the keys 1000, 1007, 1014, ... of so many rows.
  Dropout dropout(float rate, int64_t rows);

  Numbers read(const Tensor& t);
  Numbers rounded(const Numbers& numbers) { return read(compute(numbers, {static_cast<int64_t>(numbers.size())})); }

  // Runs `run` with 1, 2, 3 and 8 threads: what it returns must be the same to the bit.
  void expect_same_on_any_threads(const std::function<Numbers()>& run);

  // `call` throws kInvalidArgument, and the message contains all of `words`.
  void expect_rejected(const std::function<void()>& call, const std::vector<std::string>& words);
  // The same of wrong ids, labels and indices, which only the CPU reads before it works: a card could not say so without a wait. Nothing
  // elsewhere.
  void expect_numbers_rejected(const std::function<void()>& call, const std::vector<std::string>& words);

 private:
  Tensor keep(Buffer buffer, DType dtype, Shape shape);
  std::vector<Buffer> buffers_;
};

}  // namespace mpibert::test
