#include "tests/support/backends.h"

#include <gmock/gmock.h>
#include <omp.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <ostream>
#include <string_view>

#include "mpibert/base/error.h"
#include "mpibert/base/random.h"
#include "tests/support/reference.h"

namespace mpibert::test {
namespace {

template <class T>
void fill(const Tensor& host, const Numbers& numbers) {
  const auto span = host.span<T>();
  ASSERT_EQ(span.size(), numbers.size());
  for (size_t i = 0; i < span.size(); ++i) {
    if constexpr (std::is_arithmetic_v<T>) {
      span[i] = static_cast<T>(numbers[i]);
    } else {
      span[i] = T(static_cast<float>(numbers[i]));
    }
  }
}

template <class T>
Numbers to_numbers(const Tensor& host) {
  Numbers numbers;
  for (const T x : host.span<T>()) {
    if constexpr (std::is_arithmetic_v<T>) {
      numbers.push_back(static_cast<double>(x));
    } else {
      numbers.push_back(static_cast<double>(static_cast<float>(x)));
    }
  }
  return numbers;
}

}  // namespace

std::string device_name(Device device) { return device.type == DeviceType::kCpu ? "cpu" : "cuda"; }

// MPIBERT_TEST_ATTENTION=cudnn: the cases of cards with cuDNN where it serves; tests/device/parity.sh runs them so, too.
BackendOptions card_options() {
  const char* attention = std::getenv("MPIBERT_TEST_ATTENTION");
  return {.attention = attention && std::string_view(attention) == "cudnn" ? AttentionKernel::kCudnn : AttentionKernel::kNative};
}

std::vector<Device> devices() {
  std::vector<Device> found;
  for (const DeviceType type : {DeviceType::kCpu, DeviceType::kCuda})
    if (device_count(type) > 0) found.push_back({type, 0});
  return found;
}

std::vector<BackendCase> backend_cases() {
  std::vector<BackendCase> cases;
  for (const Device device : devices()) {
    for (const DType precision : {DType::kFloat32, DType::kBFloat16}) cases.push_back({device, precision});
    if (device.type == DeviceType::kCuda) cases.push_back({device, DType::kFloat16});
  }
  return cases;
}

std::string case_name(const testing::TestParamInfo<BackendCase>& info) {
  return device_name(info.param.device) + "_" + std::string(name_of(info.param.precision));
}

void PrintTo(const BackendCase& backend_case, std::ostream* out) {
  *out << device_name(backend_case.device) << " " << name_of(backend_case.precision);
}

Numbers random_numbers(int64_t n, uint64_t seed, double scale) {
  RandomStream stream(seed, RandomPurpose::kParameters, 0);
  Numbers numbers(static_cast<size_t>(n));
  for (double& x : numbers) x = scale * stream.normal();
  return numbers;
}

void expect_close(const Numbers& found, const Numbers& expected, Tolerance tolerance, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == expected[i] || (std::isnan(found[i]) && std::isnan(expected[i]))) continue;
    const double excess = std::abs(found[i] - expected[i]) / (tolerance.absolute + tolerance.relative * std::abs(expected[i]));
    if (excess <= worst) continue;  // a NaN falls through
    worst = std::isnan(excess) ? std::numeric_limits<double>::infinity() : excess;
    at = i;
  }
  EXPECT_LE(worst, 1.0) << what << "[" << at << "]: found " << found[at] << ", expected " << expected[at] << ", of " << found.size()
                        << " numbers";
}

double central_difference(const std::function<double(const Numbers&)>& f, Numbers x, size_t i, double h) {
  const double middle = x[i];
  x[i] = middle + h;
  const double above = f(x);
  x[i] = middle - h;
  return (above - f(x)) / (2 * h);
}

Backend& OpTest::backend() {
  static std::map<std::string, std::unique_ptr<Backend>> backends;
  auto& backend = backends[device_name(GetParam().device)];
  if (!backend) backend = make_backend(GetParam().device, GetParam().device.type == DeviceType::kCpu ? BackendOptions{} : card_options());
  return *backend;
}

double OpTest::roundoff() const { return reference::unit_roundoff(precision()); }

Tolerance OpTest::stored(Tolerance computed) const {
  return {computed.relative + roundoff(), computed.absolute + reference::underflow(precision())};
}

std::string OpTest::expected_precisions() const {
  return GetParam().device.type == DeviceType::kCpu ? "expected fp32 or bf16" : "expected fp32, bf16 or fp16";
}

Tensor OpTest::keep(Buffer buffer, DType dtype, Shape shape) {
  buffers_.push_back(std::move(buffer));
  return buffers_.back().view(dtype, shape);
}

Tensor OpTest::tensor(DType dtype, const Numbers& numbers, Shape shape) {
  const size_t bytes = static_cast<size_t>(shape.size()) * bytes_of(dtype);
  const Buffer host_buffer = backend().allocate_host(bytes);
  const Tensor host = host_buffer.view(dtype, shape);
  if (dtype == DType::kFloat32) fill<float>(host, numbers);
  if (dtype == DType::kBFloat16) fill<bfloat16>(host, numbers);
  if (dtype == DType::kFloat16) fill<float16>(host, numbers);
  if (dtype == DType::kFloat64) fill<double>(host, numbers);
  if (dtype == DType::kInt32) fill<int32_t>(host, numbers);
  if (dtype == DType::kInt64) fill<int64_t>(host, numbers);
  if (dtype == DType::kUInt8) fill<uint8_t>(host, numbers);
  const Tensor t = keep(backend().allocate(bytes), dtype, shape);
  backend().upload(host, t);
  return t;
}

Tensor OpTest::empty(DType dtype, Shape shape) {
  const bool is_integer = dtype == DType::kInt32 || dtype == DType::kInt64 || dtype == DType::kUInt8;
  return tensor(dtype, Numbers(static_cast<size_t>(shape.size()), is_integer ? 99 : std::numeric_limits<double>::quiet_NaN()), shape);
}

Tensor OpTest::zeros(DType dtype, Shape shape) { return tensor(dtype, Numbers(static_cast<size_t>(shape.size())), shape); }

Tensor OpTest::state(const StepState& state) {
  StepState copy = state;
  const Tensor t = keep(backend().allocate(sizeof copy), DType::kUInt8, {kStepStateBytes});
  backend().upload(Tensor(&copy, DType::kUInt8, {kStepStateBytes}), t);
  return t;
}

Dropout OpTest::dropout(float rate, int64_t rows) {
  if (rate == 0) return {};
  Numbers keys;
  for (int64_t row = 0; row < rows; ++row) keys.push_back(static_cast<double>(1000 + 7 * row));
  return {.rate = rate, .site = 5, .state = state({.seed = 0x123456789abcdefu, .step = 42}), .token_keys = int32(keys)};
}

Numbers OpTest::read(const Tensor& t) {
  const Buffer buffer = backend().allocate_host(t.bytes());
  const Tensor host = buffer.view(t.dtype(), t.shape());
  backend().download(t, host);
  switch (t.dtype()) {
    case DType::kFloat32:
      return to_numbers<float>(host);
    case DType::kBFloat16:
      return to_numbers<bfloat16>(host);
    case DType::kFloat16:
      return to_numbers<float16>(host);
    case DType::kFloat64:
      return to_numbers<double>(host);
    case DType::kInt32:
      return to_numbers<int32_t>(host);
    case DType::kUInt8:
      return to_numbers<uint8_t>(host);
    default:
      throw Error(ErrorKind::kInvalidArgument, "no numbers of this type are read");
  }
}

void OpTest::expect_same_on_any_threads(const std::function<Numbers()>& run) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const Numbers expected = run();
  for (const int threads : {2, 3, 8}) {
    omp_set_num_threads(threads);
    EXPECT_EQ(run(), expected) << threads << " threads";
  }
  omp_set_num_threads(before);
}

void OpTest::expect_rejected(const std::function<void()>& call, const std::vector<std::string>& words) {
  try {
    call();
    ADD_FAILURE() << "expected an error that says " << testing::PrintToString(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument) << error.what();
    for (const std::string& word : words) EXPECT_THAT(error.what(), testing::HasSubstr(word));
  }
}

// A tensor without elements is not left out, though it may have no memory.
Tensor OpTest::on_device(const Tensor& host) {
  if (host.shape().rank() == 0) return host;
  const Tensor copy = zeros(host.dtype(), host.shape());
  if (host) backend().upload(host, copy);
  return copy;
}

void OpTest::expect_numbers_rejected(const std::function<void()>& call, const std::vector<std::string>& words) {
  if (GetParam().device.type == DeviceType::kCpu) expect_rejected(call, words);
}

}  // namespace mpibert::test
