// The emulated device: right kernels give right numbers, and planted faults are found and named.

#include "tests/emulation/simt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "cublasLt.h"
#include "cuda_runtime.h"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/launch.h"
#include "tests/emulation/device_numbers.h"

namespace mpibert::cuda {
namespace {

std::vector<float> counted(size_t n) {
  std::vector<float> numbers(n);
  std::iota(numbers.begin(), numbers.end(), 1.0f);
  return numbers;
}

// ---- Kernels that are right

__global__ void sum_blocks(const float* input, float* output, int n) {
  __shared__ float scratch[kWarp];
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const float sum = block_reduce<Sum>(i < n ? input[i] : 0.0f, scratch);
  const float again = block_reduce<Max>(sum, scratch);
  if (threadIdx.x == 0) output[blockIdx.x] = again;
}

TEST(Emulation, SumsABlock) {
  const DeviceNumbers<float> input(counted(1000)), output(4);
  launch({.grid = 4, .block = 256}, nullptr, sum_blocks, input.get(), output.get(), 1000);
  EXPECT_THAT(output.read(), testing::ElementsAre(32896, 98432, 163968, 205204));
}

template <class T>
__global__ void transpose(const T* input, T* output, int rows, int columns) {
  __shared__ T tile[32][33];
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y), row = static_cast<int>(blockIdx.y) * 32,
            column = static_cast<int>(blockIdx.x) * 32;
  for (int i = y; i < 32; i += 8)
    if (row + i < rows && column + x < columns) tile[i][x] = input[(row + i) * columns + column + x];
  __syncthreads();
  for (int i = y; i < 32; i += 8)
    if (column + i < columns && row + x < rows) output[(column + i) * rows + row + x] = tile[x][i];
}

template <class T>
void expect_transposed(int rows, int columns) {
  std::vector<T> numbers(static_cast<size_t>(rows * columns)), expected(numbers.size());
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j)
      numbers[static_cast<size_t>(i * columns + j)] = expected[static_cast<size_t>(j * rows + i)] = static_cast<T>(1000 * i + j);
  const DeviceNumbers<T> input(numbers), output(numbers.size());
  launch({.grid = dim3(static_cast<unsigned>(columns + 31) / 32, static_cast<unsigned>(rows + 31) / 32), .block = dim3(32, 8)}, nullptr,
         transpose<T>, input.get(), output.get(), rows, columns);
  EXPECT_EQ(output.read(), expected);
}

TEST(Emulation, TransposesThroughSharedMemory) {
  expect_transposed<float>(33, 70);
  expect_transposed<uint16_t>(5, 40);
}

template <class T>
__global__ void scan_warps(const T* input, T* output) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  T x = input[threadIdx.x];
  for (unsigned distance = 1; distance < kWarp; distance *= 2) {
    const T other = __shfl_up_sync(kAllLanes, x, distance);
    if (lane >= static_cast<int>(distance)) x += other;
  }
  output[threadIdx.x] = x;
}

TEST(Emulation, ScansAWarp) {
  std::vector<double> numbers(96, 0.5);
  const DeviceNumbers<double> input(numbers), output(96);
  launch({.block = 96}, nullptr, scan_warps<double>, input.get(), output.get());
  for (size_t i = 0; i < 96; ++i) numbers[i] = 0.5 * static_cast<double>(i % 32 + 1);
  EXPECT_EQ(output.read(), numbers);
}

// Lanes of halves of a warp, which go their own ways.
__global__ void vote(unsigned* output) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane < 16) {
    output[lane] = __ballot_sync(0xffffu, lane % 2);
  } else {
    output[lane] = static_cast<unsigned>(__shfl_sync(0xffff0000u, lane, lane == 31 ? 3 : 2, 4) + 100 * __all_sync(0xffff0000u, lane > 15) +
                                         1000 * __any_sync(0xffff0000u, lane == 0));
  }
}

TEST(Emulation, HalvesOfAWarpMeetApart) {
  const DeviceNumbers<unsigned> output(32);
  launch({.block = 32}, nullptr, vote, output.get());
  const std::vector<unsigned> found = output.read();
  EXPECT_EQ(found[3], 0xaaaau);
  EXPECT_EQ(found[16], 118u);
  EXPECT_EQ(found[21], 122u);
  EXPECT_EQ(found[31], 131u);
}

__global__ void reverse_dynamic(float* numbers) {
  float* there = reinterpret_cast<float*>(dynamic_shared);
  there[threadIdx.x] = numbers[threadIdx.x];
  __syncthreads();
  numbers[threadIdx.x] = there[blockDim.x - 1 - threadIdx.x];
}

TEST(Emulation, DynamicSharedMemoryIsAsLargeAsAskedFor) {
  const DeviceNumbers<float> numbers(counted(256));
  launch({.block = 256, .shared_bytes = 1024}, nullptr, reverse_dynamic, numbers.get());
  EXPECT_EQ(numbers.read()[0], 256);
  if (emulation::watches_memory())
    expect_fault([&] { launch({.block = 256, .shared_bytes = 1020}, nullptr, reverse_dynamic, numbers.get()); },
                 {"dynamic shared memory", "thread (255, 0, 0)"});
}

// Neighbours in a warp exchange through shared memory, ordered by __syncwarp.
__global__ void exchange(float* numbers, int ordered) {
  __shared__ float there[64];
  there[threadIdx.x] = numbers[threadIdx.x];
  if (ordered) __syncwarp();
  numbers[threadIdx.x] = there[threadIdx.x ^ 1u];
}

TEST(Emulation, SyncwarpOrdersAWarp) {
  const DeviceNumbers<float> numbers(counted(64));
  launch({.block = 64}, nullptr, exchange, numbers.get(), 1);
  EXPECT_EQ(numbers.read()[62], 64);
  if (!emulation::watches_memory()) return;
  expect_fault([&] { launch({.block = 64}, nullptr, exchange, numbers.get(), 0); }, {"shared memory"});
}

TEST(Emulation, ManyBlocksAreQuick) {
  const DeviceNumbers<float> input(counted(1)), output(20000);
  launch({.grid = 20000, .block = 128}, nullptr, sum_blocks, input.get(), output.get(), 1);
}

// ---- Kernels that are wrong

__global__ void fill(float* numbers, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) numbers[i] = 1;
}

TEST(EmulationFinds, AWriteOutOfBounds) {
  const DeviceNumbers<float> numbers(100);
  launch({.grid = 2, .block = 64}, nullptr, fill, numbers.get(), 100);
  if (emulation::watches_memory()) {
    expect_fault([&] { launch({.grid = 2, .block = 64}, nullptr, fill, numbers.get(), 101); },
                 {"out of bounds", "writes 4 bytes", "block (1, 0, 0), thread (36, 0, 0)", "fill", "emulation_test.cpp"});
    expect_fault([&] { launch({.block = 1}, nullptr, fill, numbers.get() - 1, 1); }, {"out of bounds"});
  } else {
    EXPECT_DEATH(launch({.grid = 2, .block = 64}, nullptr, fill, numbers.get(), 101), "AddressSanitizer");
  }
  launch({.grid = 2, .block = 64}, nullptr, fill, numbers.get(), 100);  // the device goes on
}

TEST(EmulationFinds, MemoryThatIsNotTheDevices) {
  if (!emulation::watches_memory()) GTEST_SKIP() << "kernels are not watched in this build";
  std::vector<float> host(4);
  expect_fault([&] { launch({.block = 4}, nullptr, fill, host.data(), 4); }, {"memory of the host"});
  float* freed = nullptr;
  cudaMalloc(&freed, 16);
  cudaFree(freed);
  expect_fault([&] { launch({.block = 4}, nullptr, fill, freed, 4); }, {"out of bounds", "not allocated"});
  const DeviceNumbers<float> numbers(4);
  expect_fault([&] { launch({.block = 1}, nullptr, fill, reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(numbers.get()) + 2), 1); },
               {"misaligned"});
  EXPECT_DEATH(fill(numbers.get(), 1), "host code writes 4 bytes of device memory");
}

// The second barrier is missing: the next row's numbers overwrite those that slow threads still add.
__global__ void sum_rows(const float* input, float* output, int rows, int forgets) {
  __shared__ float row[64];
  for (int r = 0; r < rows; ++r) {
    row[threadIdx.x] = input[r * 64 + static_cast<int>(threadIdx.x)];
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < 64; ++i) sum += row[i];
    if (threadIdx.x == 0) output[r] = sum;
    if (!forgets) __syncthreads();
  }
}

TEST(EmulationFinds, AMissingBarrier) {
  const DeviceNumbers<float> input(counted(128)), output(2);
  launch({.block = 64}, nullptr, sum_rows, input.get(), output.get(), 2, 0);
  EXPECT_THAT(output.read(), testing::ElementsAre(2080, 6176));
  launch({.block = 64}, nullptr, sum_rows, input.get(), output.get(), 1, 1);  // of one row nothing is overwritten
  if (!emulation::watches_memory()) return;
  expect_fault([&] { launch({.block = 64}, nullptr, sum_rows, input.get(), output.get(), 2, 1); },
               {"race in shared memory", "reads what", "wrote with no barrier between", "block (0, 0, 0)", "sum_rows", "emulation_test.cpp",
                "the other access"});
}

__global__ void rotate(float* numbers, int forgets) {
  __shared__ float there[64];
  const int i = static_cast<int>(threadIdx.x);
  there[i] = numbers[i];
  __syncthreads();
  const float next = there[(i + 1) % 64];
  if (!forgets) __syncthreads();
  there[i] = next;
  numbers[i] = there[i];
}

TEST(EmulationFinds, AWriteBeforeOthersHaveRead) {
  const DeviceNumbers<float> numbers(counted(64));
  launch({.block = 64}, nullptr, rotate, numbers.get(), 0);
  EXPECT_EQ(numbers.read()[63], 1);
  if (!emulation::watches_memory()) return;
  expect_fault([&] { launch({.block = 64}, nullptr, rotate, numbers.get(), 1); },
               {"race in shared memory", "writes what", "read with no barrier between"});
}

__global__ void read_unwritten(float* output, int writes) {
  __shared__ float numbers[32];
  if (writes) numbers[threadIdx.x] = 1;
  __syncthreads();
  output[threadIdx.x] = numbers[threadIdx.x];
}

TEST(EmulationFinds, SharedMemoryThatTheBlockHasNotWritten) {
  const DeviceNumbers<float> output(32);
  launch({.block = 32}, nullptr, read_unwritten, output.get(), 1);
  if (!emulation::watches_memory()) return;
  expect_fault([&] { launch({.block = 32}, nullptr, read_unwritten, output.get(), 0); }, {"shared memory that this block has not written"});
}

__global__ void read_lane(int* output, unsigned mask, int lane, int width) {
  if ((mask >> threadIdx.x) & 1u) output[threadIdx.x] = __shfl_sync(mask, static_cast<int>(threadIdx.x), lane, width);
}

TEST(EmulationFinds, AWrongLane) {
  const DeviceNumbers<int> output(32);
  launch({.block = 32}, nullptr, read_lane, output.get(), 0xffu, 7, 32);
  EXPECT_EQ(output.read()[0], 7);
  expect_fault([&] { launch({.block = 32}, nullptr, read_lane, output.get(), 0xffu, 8, 32); },
               {"__shfl_sync() in emulation_test.cpp:", "reads lane 8", "outside its mask", "0xff"});
  expect_fault([&] { launch({.block = 32}, nullptr, read_lane, output.get(), kAllLanes, 32, 32); },
               {"reads lane 32", "outside its group of lanes"});
  expect_fault([&] { launch({.block = 32}, nullptr, read_lane, output.get(), kAllLanes, 8, 8); }, {"outside its group of lanes"});
  expect_fault([&] { launch({.block = 16}, nullptr, read_lane, output.get(), kAllLanes, 0, 32); },
               {"names lanes that the block does not have"});
}

__global__ void leave_lanes(int* output, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  output[threadIdx.x] = __shfl_xor_sync(kAllLanes, static_cast<int>(threadIdx.x), 1);
}

TEST(EmulationFinds, ALaneThatNeverArrives) {
  const DeviceNumbers<int> output(64);
  launch({.block = 64}, nullptr, leave_lanes, output.get(), 32);  // whole warps may leave
  expect_fault([&] { launch({.block = 64}, nullptr, leave_lanes, output.get(), 40); },
               {"thread (32, 0, 0) waits at __shfl_xor_sync() in emulation_test.cpp:",
                "for lane 8 of its mask, which never arrives: thread (40, 0, 0) has returned"});
}

__global__ void leave_barrier(int n) {
  if (static_cast<int>(threadIdx.x) < n) __syncthreads();
}
__global__ void two_barriers(int n) {
  if (static_cast<int>(threadIdx.x) < n) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST(EmulationFinds, ABarrierThatNotAllReach) {
  launch({.block = 64}, nullptr, leave_barrier, 64);
  launch({.block = 64}, nullptr, leave_barrier, 0);
  expect_fault([] { launch({.grid = 2, .block = 64}, nullptr, leave_barrier, 40); },
               {"waits at __syncthreads() in emulation_test.cpp:", "not all threads of the block reach", "thread (63, 0, 0) has returned",
                "block (0, 0, 0)"});
  expect_fault([] { launch({.block = 64}, nullptr, two_barriers, 40); },
               {"__syncthreads() in emulation_test.cpp:", "while thread (0, 0, 0) waits at the one in"});
}

TEST(EmulationFinds, LaunchesThatTheDeviceRefuses) {
  expect_fault([] { launch({.block = 1025}, nullptr, leave_barrier, 0); }, {"a block of (1025, 1, 1) threads"});
  expect_fault([] { launch({.grid = dim3(1, 65536)}, nullptr, leave_barrier, 0); }, {"a grid of (1, 65536, 1)"});
  expect_fault([] { launch({.shared_bytes = 227 * 1024 + 1}, nullptr, leave_barrier, 0); }, {"232449 bytes of dynamic shared memory"});
}

// ---- The runtime and the products

TEST(Emulation, RefusesWhatTheRuntimeRefuses) {
  float *a = nullptr, *huge = nullptr;
  EXPECT_EQ(cudaMalloc(&a, 400), cudaSuccess);
  std::vector<float> host(200);
  EXPECT_EQ(cudaMemcpyAsync(a, host.data(), 404, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(host.data(), a, 400, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(a + 1, 0, 400), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(a + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(host.data()), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(a), cudaSuccess);
  EXPECT_EQ(cudaFree(a), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(a, 0, 4), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&huge, size_t{1} << 60), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaFreeHost(host.data()), cudaErrorInvalidValue);
}

TEST(Emulation, MultipliesColumnMajor) {
  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t a, b, c;
  cublasLtCreate(&handle);
  cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &transposed, sizeof transposed), CUBLAS_STATUS_SUCCESS);
  cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, 2, 3, 2);
  cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, 1, 3, 1);
  cublasLtMatrixLayoutCreate(&c, CUDA_R_32F, 2, 1, 2);
  const DeviceNumbers<float> x(std::vector<float>{1, 2, 3, 4, 5, 6}), y(std::vector<float>{1, 10, 100}), z(std::vector<float>{1000, 2000});
  const float alpha = 2, beta = 1, zero = 0;
  EXPECT_EQ(cublasLtMatmul(handle, product, &alpha, x.get(), a, y.get(), b, &beta, z.get(), c, z.get(), c, nullptr, nullptr, 0, nullptr),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_THAT(z.read(), testing::ElementsAre(1000 + 2 * 531, 2000 + 2 * 642));
  EXPECT_EQ(cublasLtMatmul(handle, product, &alpha, x.get(), a, y.get(), b, &zero, z.get(), c, z.get(), c, nullptr, nullptr, 0, nullptr),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_THAT(z.read(), testing::ElementsAre(2 * 531, 2 * 642));
  EXPECT_EQ(cublasLtMatmul(handle, product, &alpha, y.get(), a, y.get(), b, &zero, z.get(), c, z.get(), c, nullptr, nullptr, 0, nullptr),
            CUBLAS_STATUS_INVALID_VALUE);
  cublasLtMatrixLayoutDestroy(a);
  cublasLtMatrixLayoutDestroy(b);
  cublasLtMatrixLayoutDestroy(c);
  cublasLtMatmulDescDestroy(product);
  cublasLtDestroy(handle);
}

}  // namespace
}  // namespace mpibert::cuda
