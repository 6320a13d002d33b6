// Memory of a backend, make_backend, and the rules of the operations whose own tests lie elsewhere.

#include <gmock/gmock.h>

#include "mpibert/base/error.h"
#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using BackendTest = OpTest;
MPIBERT_ON_EVERY_BACKEND(BackendTest);

void expect_error(ErrorKind kind, const std::string& words, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "expected an error that says " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(words));
  }
}

TEST_P(BackendTest, CountsAlignedMemory) {
  const size_t before = backend().allocated_bytes();
  {
    const Buffer small = backend().allocate(1), none = backend().allocate(0), large = backend().allocate(size_t{20} << 20),
                 host = backend().allocate_host(77);
    EXPECT_EQ(backend().allocated_bytes(), before + 1 + (size_t{20} << 20));
    for (const Buffer* buffer : {&small, &none, &large}) {
      const Tensor t = buffer->view(DType::kUInt8, {static_cast<int64_t>(buffer->bytes())});
      EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data()) % 256, 0u);
      EXPECT_EQ(t.device(), backend().device());
    }
    EXPECT_EQ(host.bytes(), 77u);
  }
  EXPECT_EQ(backend().allocated_bytes(), before);
}

TEST_P(BackendTest, SaysHowMuchMemoryThereIsNot) {
  const size_t before = backend().allocated_bytes();
  const ErrorKind kind = backend().device().type == DeviceType::kCpu ? ErrorKind::kOutOfMemory : ErrorKind::kOutOfDeviceMemory;
  expect_error(kind, "1152921504606846976 bytes", [&] { backend().allocate(size_t{1} << 60); });
  expect_error(kind, "18446744073709551615 bytes", [&] { backend().allocate(SIZE_MAX); });
  EXPECT_EQ(backend().allocated_bytes(), before);
}

TEST_P(BackendTest, BuffersMayOutliveTheirBackend) {
  Buffer buffer;
  {
    const std::unique_ptr<Backend> brief = make_backend(GetParam().device);
    buffer = brief->allocate(100);
    EXPECT_EQ(brief->allocated_bytes(), 100u);
  }
  EXPECT_EQ(buffer.bytes(), 100u);
}

TEST_P(BackendTest, ZeroAndCopyMoveAllBytes) {
  for (const int64_t n : {0, 1, 1000, 100000}) {
    const Tensor from = compute(random_numbers(n, 1), {n}), to = empty({n});
    backend().copy(from, to);
    EXPECT_EQ(read(to), read(from));
    backend().zero(to);
    EXPECT_EQ(read(to), Numbers(static_cast<size_t>(n), 0));
  }
  backend().synchronize();
}

TEST_P(BackendTest, TransfersRejectWhatDoesNotFit) {
  const Tensor a = zeros(DType::kFloat32, {4}), b = zeros(DType::kFloat32, {5}), ints = zeros(DType::kInt32, {4});
  expect_rejected([&] { backend().copy(a, b); }, {"copy: expected as many numbers of one type", "[4] fp32", "[5] fp32"});
  expect_rejected([&] { backend().upload(ints, a); }, {"upload: ", "[4] int32"});
  expect_rejected([&] { backend().download(a, Tensor{}); }, {"download: ", "left out"});
  expect_rejected([&] { backend().zero(Tensor(a.data(), DType::kFloat32, {4}, Device{DeviceType::kCuda, 3})); }, {"zero: ", "cuda:3"});
}

TEST_P(BackendTest, MatmulRejectsWhatDoesNotFit) {
  const Tensor a = zeros(precision(), {2, 3}), b = zeros(precision(), {3, 4}), c = zeros(precision(), {2, 4});
  expect_rejected(
      [&] {
        backend().matmul({.a = a, .b = zeros(precision(), {5, 4}), .c = c});
      },
      {"matmul: b: expected [3, 4]", "found [5, 4]"});
  expect_rejected([&] { backend().matmul({.a = a, .b = b, .transpose_b = true, .c = c}); }, {"b: expected [3, 3]", "found [3, 4]"});
  expect_rejected([&] { backend().matmul({.a = a, .b = b, .c = zeros(precision(), {4, 2})}); }, {"c: expected [2, 4]", "found [4, 2]"});
  expect_rejected([&] { backend().matmul({.a = a, .b = b, .bias = zeros(precision(), {3}), .c = c}); },
                  {"bias: expected [4]", "found [3]"});
  expect_rejected([&] { backend().matmul({.a = a, .b = b, .activation = Activation::kGelu, .c = c}); },
                  {"activation: expected kNone without derivative_at and activated"});
  expect_rejected([&] { backend().matmul({.a = a, .b = b, .activation = Activation::kGelu, .derivative_at = c, .c = c, .activated = c}); },
                  {"expected at most one of derivative_at and activated, found both"});
  expect_rejected(
      [&] {
        backend().matmul({.a = zeros(DType::kFloat32, {2, 3}), .b = zeros(DType::kFloat32, {3, 4}), .c = zeros(DType::kBFloat16, {2, 4})});
      },
      {"c: expected [2, 4] fp32", "found [2, 4] bf16"});
  const Tensor sums = zeros(DType::kFloat32, {2});
  expect_rejected([&] { backend().matmul({.a = a, .b = b, .c = c, .row_sums = sums}); }, {"row_sums: expected transpose_a"});
  expect_rejected(
      [&] {
        backend().matmul({.a = zeros(precision(), {3, 2}), .b = b, .transpose_a = true, .c = c, .row_sums = zeros(DType::kFloat32, {3})});
      },
      {"row_sums: expected [2] fp32", "found [3]"});
  expect_rejected([&] { backend().matmul({.a = zeros(precision(), {6}), .b = b, .c = c}); },
                  {"a: " + expected_precisions() + " of 2 dimensions", "found [6]"});
}

TEST_P(BackendTest, AttentionRejectsWhatDoesNotFit) {
  const int64_t tokens = 4, heads = 2, size = 8;
  const Tensor context = zeros(precision(), {tokens, heads, size}), qkv = zeros(precision(), {tokens, 3, heads, size}),
               cu_seqlens = int32({0, 4});
  const Tensor saved = zeros(DType::kUInt8, {static_cast<int64_t>(backend().attention_saved_bytes(tokens, heads, size, 4))});
  const AttentionForward good = {.qkv = qkv, .cu_seqlens = cu_seqlens, .max_seq_length = 4, .context = context, .saved = saved};
  AttentionForward op = good;
  op.qkv = zeros(precision(), {tokens, 3, heads, size + 1});
  expect_rejected([&] { backend().attention_forward(op); }, {"attention_forward: qkv: expected [4, 3, 2, 8]", "found [4, 3, 2, 9]"});
  op = good;
  op.cu_seqlens = int32({});
  expect_rejected([&] { backend().attention_forward(op); }, {"cu_seqlens: expected at least one number, found none"});
  op = good;
  op.max_seq_length = -1;
  expect_rejected([&] { backend().attention_forward(op); }, {"max_seq_length: expected 0 to 65536, found -1"});
  op = good;
  op.saved = zeros(DType::kUInt8, {1});
  expect_rejected([&] { backend().attention_forward(op); }, {"saved: expected [", "found [1] uint8"});
  op = good;
  op.distance_embedding = zeros(precision(), {8, size});
  expect_rejected([&] { backend().attention_forward(op); }, {"distance_embedding: expected an odd number of rows, found 8"});
  op.distance_embedding = {};
  op.distance_use = DistanceUse::kQueriesAndKeys;
  expect_rejected([&] { backend().attention_forward(op); }, {"distance_use: expected a distance_embedding"});
  op.distance_embedding = zeros(precision(), {7, size + 1});
  expect_rejected([&] { backend().attention_forward(op); }, {"distance_embedding: expected [7, 8]", "found [7, 9]"});
  AttentionBackward with_distances = {.gradient = context,
                                      .qkv = qkv,
                                      .distance_embedding = zeros(precision(), {7, size}),
                                      .context = context,
                                      .cu_seqlens = cu_seqlens,
                                      .saved = saved,
                                      .max_seq_length = 4,
                                      .d_qkv = qkv};
  expect_rejected([&] { backend().attention_backward(with_distances); }, {"d_distance_embedding: expected [7, 8] fp32", "found left out"});
  const AttentionBackward backward = {
      .gradient = context, .qkv = qkv, .context = context, .cu_seqlens = cu_seqlens, .saved = saved, .max_seq_length = 4, .d_qkv = context};
  expect_rejected([&] { backend().attention_backward(backward); }, {"attention_backward: d_qkv: expected [4, 3, 2, 8]", "found [4, 2, 8]"});
}

TEST(CpuBackend, RefusesFp16) {
  const std::unique_ptr<Backend> cpu = make_backend({});
  const Buffer memory = cpu->allocate(8);
  const Tensor half = memory.view(DType::kFloat16, {4});
  expect_error(ErrorKind::kInvalidArgument, "cast: input: expected fp32 or bf16 on cpu, found [4] fp16 on cpu",
               [&] { cpu->cast({.input = half, .output = half}); });
}

TEST(MakeBackend, RefusesWhatThisBuildHasNot) {
  const int cards = device_count(DeviceType::kCuda);
  const bool no_driver = cards == 0 && cuda_version() != "not built in";
  expect_error(ErrorKind::kDevice, no_driver ? "no CUDA device can be used" : str_cat("there is no device cuda:", cards), [&] {
    make_backend({DeviceType::kCuda, cards});
  });
  expect_error(ErrorKind::kDevice, "cpu device 0, found 1", [] { make_backend({DeviceType::kCpu, 1}); });
}

}  // namespace
}  // namespace mpibert::test
