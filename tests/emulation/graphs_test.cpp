// Graphs of the emulated runtime: what is captured runs at each launch, with the arguments of its call; calls that a capture forbids fail
// it.

#include <cublasLt.h>

#include <memory>
#include <thread>

#include "ops/cuda/launch.h"
#include "tests/emulation/device_numbers.h"
#include "tests/emulation/streams.h"

namespace mpibert::cuda {
namespace {

__global__ void add_to(float* numbers, float x) { numbers[threadIdx.x] += x; }

class Graphs : public testing::Test {
 protected:
  Graphs() { EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess); }
  ~Graphs() override {
    cudaStreamDestroy(stream_);
    cudaGetLastError();
  }
  void begin() { ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess); }
  cudaError_t end() {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream_, &graph);
    EXPECT_EQ(graph != nullptr, error == cudaSuccess);
    if (!graph) return error;
    EXPECT_EQ(cudaGraphInstantiate(&executable_, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return error;
  }
  void replay() { EXPECT_EQ(cudaGraphLaunch(executable_, stream_), cudaSuccess); }
  void expect(const DeviceNumbers<float>& numbers, const std::vector<float>& expected) {
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    EXPECT_EQ(numbers.read(), expected);
  }

  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

TEST_F(Graphs, RunAtEachLaunchInTheOrderOfTheStream) {
  const DeviceNumbers<float> numbers(std::vector<float>{1, 2}), copy(2);
  begin();
  launch({.block = 2}, stream_, add_to, numbers.get(), 10.0f);
  EXPECT_EQ(cudaMemcpyAsync(copy.get(), numbers.get(), 8, cudaMemcpyDeviceToDevice, stream_), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(numbers.get(), 0, 4, stream_), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  expect(numbers, {1, 2});
  const emulation::LateStreams late;
  replay();
  launch({.block = 2}, stream_, add_to, numbers.get(), 1.0f);
  replay();
  expect(copy, {11, 23});
  EXPECT_EQ(cudaGraphExecDestroy(executable_), cudaSuccess);
  expect(numbers, {0, 23});
}

// A product keeps its numbers and descriptors; only the matrices are read when it runs.
TEST_F(Graphs, KeepTheArgumentsOfAProduct) {
  const DeviceNumbers<float> a(std::vector<float>{3}), b(std::vector<float>{5}), c(std::vector<float>{100}), bias(std::vector<float>{1000});
  cublasLtHandle_t library = nullptr;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t one = nullptr;
  cublasLtCreate(&library);
  cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatrixLayoutCreate(&one, CUDA_R_32F, 1, 1, 1);
  const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
  const void *bias_of_call = bias.get(), *none = nullptr;
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias_of_call, sizeof bias_of_call);
  float alpha = 2, beta = 1;
  begin();
  EXPECT_EQ(cublasLtMatmul(library, description, &alpha, a.get(), one, b.get(), one, &beta, c.get(), one, c.get(), one, nullptr, nullptr, 0,
                           stream_),
            CUBLAS_STATUS_SUCCESS);
  alpha = beta = -1;
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &none, sizeof none);
  cublasLtMatrixLayoutDestroy(one);
  cublasLtMatmulDescDestroy(description);
  cublasLtDestroy(library);
  ASSERT_EQ(end(), cudaSuccess);
  expect(c, {100});
  replay();
  replay();
  expect(c, {100 + 2 * (2 * 3 * 5 + 1000)});
}

// As on a card: why uploads must not be captured.
TEST_F(Graphs, ReadTheHostAtEachLaunch) {
  const DeviceNumbers<float> numbers(1);
  float host = 1;
  begin();
  EXPECT_EQ(cudaMemcpyAsync(numbers.get(), &host, 4, cudaMemcpyHostToDevice, stream_), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  host = 2;
  replay();
  expect(numbers, {2});
}

TEST_F(Graphs, AreNotMadeOfACaptureThatWaitedAskedOrAllocated) {
  const DeviceNumbers<float> numbers(1);
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event, nullptr), cudaSuccess);
  float host = 0;
  void* memory = nullptr;
  struct Call {
    const char* name;
    std::function<cudaError_t()> call;
    cudaError_t error = cudaErrorStreamCaptureUnsupported;
  };
  const Call calls[] = {
      {"cudaStreamSynchronize", [&] { return cudaStreamSynchronize(stream_); }},
      {"another stream", [] { return cudaStreamSynchronize(nullptr); }},
      {"cudaStreamQuery", [&] { return cudaStreamQuery(stream_); }},
      {"cudaDeviceSynchronize", [] { return cudaDeviceSynchronize(); }},
      {"cudaEventQuery", [&] { return cudaEventQuery(event); }},
      {"cudaEventSynchronize", [&] { return cudaEventSynchronize(event); }},
      {"cudaEventRecord", [&] { return cudaEventRecord(event, stream_); }},
      {"cudaStreamWaitEvent", [&] { return cudaStreamWaitEvent(stream_, event, 0); }, cudaErrorStreamCaptureIsolation},
      {"cudaMalloc", [&] { return cudaMalloc(&memory, 4); }},
      {"cudaFree", [] { return cudaFree(nullptr); }},
      {"cudaMallocHost", [&] { return cudaMallocHost(&memory, 4); }},
      {"cudaFreeHost", [] { return cudaFreeHost(nullptr); }},
      {"cudaMemcpy", [&] { return cudaMemcpy(&host, numbers.get(), 4, cudaMemcpyDeviceToHost); }},
      {"a copy to pageable memory", [&] { return cudaMemcpyAsync(&host, numbers.get(), 4, cudaMemcpyDeviceToHost, stream_); }}};
  for (const Call& call : calls) {
    begin();
    EXPECT_EQ(call.call(), call.error) << call.name;
    cudaStreamCaptureStatus status{};
    EXPECT_EQ(cudaStreamIsCapturing(stream_, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated) << call.name;
    EXPECT_EQ(cudaMemsetAsync(numbers.get(), 0, 4, stream_), cudaErrorStreamCaptureInvalidated) << call.name;
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated) << call.name;
  }
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

// Another thread may wait and allocate meanwhile; it cannot end the capture.
TEST_F(Graphs, AreOfOneThread) {
  begin();
  std::thread([this] {
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, 4), cudaSuccess);
    EXPECT_EQ(cudaFree(memory), cudaSuccess);
  }).join();
  EXPECT_EQ(end(), cudaSuccess);
  EXPECT_EQ(end(), cudaErrorIllegalState);
  begin();
  std::thread([this] { EXPECT_EQ(end(), cudaErrorStreamCaptureWrongThread); }).join();
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
}

}  // namespace
}  // namespace mpibert::cuda
