#pragma once

// The CUDA C++ that src/ops/cuda uses, as plain C++20 (see ../README.md). It shadows the toolkit's header: a .cu file is compiled with -x
// c++.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
// A word that may stand behind `extern` and makes a local variable static. All threads of a block are fibers of one thread of the
// processor, so they see one copy, and the program's thread-local segment is the range of addresses that is watched for races.
#define __shared__ thread_local

// Dynamic shared memory is the one array of this name in namespace mpibert::cuda. A kernel in an unnamed namespace cannot declare it (the
// declaration would mean another array); declare it before that namespace:
//   namespace mpibert::cuda { extern __shared__ __align__(16) unsigned char dynamic_shared[]; namespace { ... kernels ... } }
namespace mpibert::cuda {
extern thread_local __attribute__((aligned(16))) unsigned char dynamic_shared[];
}

// Where the running thread stands.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace emulation {

// A fault of a kernel: message with the block, the thread and the place.
[[noreturn]] void fail(const char* what, std::source_location where = std::source_location::current());

enum class WarpOperation : uint8_t { kSync, kShuffle, kShuffleUp, kShuffleDown, kShuffleXor, kBallot, kMma, kLoadMatrix };
// All lanes of `mask` meet; each gets the value of its source lane (shuffles) or the bits of those with a value other than 0 (ballot).
uint64_t warp_meeting(WarpOperation operation, unsigned mask, uint64_t value, int operand, int width, const std::source_location& where);

template <class T>
T shuffle(WarpOperation operation, unsigned mask, T value, int operand, int width, const std::source_location& where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move numbers of 4 or 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_meeting(operation, mask, bits, operand, width, where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// What the kernels' inline PTX does (src/ops/cuda/device/mma.cuh), with the fragments of the PTX ISA. All 32 lanes of a warp take part in
// mma and ldmatrix. number(bits) is the value of a 16-bit number.
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float (*number)(uint16_t),
                  std::source_location where = std::source_location::current());
// 1, 2 or 4 matrices (`count`) to matrices[0 .. count - 1]; `row` of the first 8 * count lanes is used, as on the device.
void ldmatrix(uint32_t* matrices, int count, bool transposed, const void* row,
              std::source_location where = std::source_location::current());
// Copies of 4, 8 or 16 bytes, or zeros, that happen when they are waited for; until then NaN are there.
void copy_async(void* to, const void* from, int bytes, bool valid, std::source_location where = std::source_location::current());
void commit_copies();
void wait_for_copies(int pending);

void launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, void (*call)(const void*), const void* kernel,
            size_t kernel_bytes);

// Queues the kernel; when its turn comes it runs to its end, all blocks, one after another. Throws Error (simt.h) when a thread does what
// the device forbids; if it had to wait, whoever asks about the stream gets it.
template <class Kernel>
void launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, const Kernel& kernel) {
  static_assert(std::is_trivially_copyable_v<Kernel>, "the arguments of a kernel are copied as bytes");
  launch(
      grid, block, shared_bytes, stream, [](const void* k) { (*static_cast<const Kernel*>(k))(); }, &kernel, sizeof kernel);
}

}  // namespace emulation

#define MPIBERT_EMULATION_HERE std::source_location where = std::source_location::current()

void __syncthreads(MPIBERT_EMULATION_HERE);
inline void __syncwarp(unsigned mask = 0xffffffffu, MPIBERT_EMULATION_HERE) {
  emulation::warp_meeting(emulation::WarpOperation::kSync, mask, 0, 0, 32, where);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, MPIBERT_EMULATION_HERE) {
  return emulation::shuffle(emulation::WarpOperation::kShuffle, mask, value, lane, width, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, MPIBERT_EMULATION_HERE) {
  return emulation::shuffle(emulation::WarpOperation::kShuffleUp, mask, value, static_cast<int>(distance), width, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, MPIBERT_EMULATION_HERE) {
  return emulation::shuffle(emulation::WarpOperation::kShuffleDown, mask, value, static_cast<int>(distance), width, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, MPIBERT_EMULATION_HERE) {
  return emulation::shuffle(emulation::WarpOperation::kShuffleXor, mask, value, lane_mask, width, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, MPIBERT_EMULATION_HERE) {
  return static_cast<unsigned>(emulation::warp_meeting(emulation::WarpOperation::kBallot, mask, predicate != 0, 0, 32, where));
}
inline int __any_sync(unsigned mask, int predicate, MPIBERT_EMULATION_HERE) { return __ballot_sync(mask, predicate, where) != 0; }
inline int __all_sync(unsigned mask, int predicate, MPIBERT_EMULATION_HERE) { return __ballot_sync(mask, predicate, where) == mask; }
inline void __threadfence_block() {}
inline void __threadfence() {}
[[noreturn]] inline void __trap(MPIBERT_EMULATION_HERE) { emulation::fail("__trap()", where); }

#undef MPIBERT_EMULATION_HERE

// Numbers.
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return ::fmaf(a, b, c); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return ::sqrtf(x); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double x) { return ::sqrt(x); }
inline double __fma_rn(double a, double b, double c) { return ::fma(a, b, c); }
inline float rsqrtf(float x) { return 1 / ::sqrtf(x); }
inline double rsqrt(double x) { return 1 / ::sqrt(x); }
inline float __frsqrt_rn(float x) { return static_cast<float>(1 / ::sqrt(static_cast<double>(x))); }
inline float __expf(float x) { return ::expf(x); }
inline float __logf(float x) { return ::logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline float normcdff(float x) { return 0.5f * ::erfcf(-x * 0.70710678118654752440f); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32); }

#define MPIBERT_EMULATION_MIN_MAX(T)                  \
  constexpr T min(T a, T b) { return b < a ? b : a; } \
  constexpr T max(T a, T b) { return a < b ? b : a; }
MPIBERT_EMULATION_MIN_MAX(int)
MPIBERT_EMULATION_MIN_MAX(unsigned)
MPIBERT_EMULATION_MIN_MAX(long)
MPIBERT_EMULATION_MIN_MAX(unsigned long)
MPIBERT_EMULATION_MIN_MAX(long long)
MPIBERT_EMULATION_MIN_MAX(unsigned long long)
#undef MPIBERT_EMULATION_MIN_MAX
inline float min(float a, float b) { return ::fminf(a, b); }
inline float max(float a, float b) { return ::fmaxf(a, b); }
inline double min(double a, double b) { return ::fmin(a, b); }
inline double max(double a, double b) { return ::fmax(a, b); }

// Vectors: their alignment is the device's, and a misaligned access is an error as it is there.
struct alignas(4) ushort2 {
  unsigned short x, y;
};
struct alignas(8) ushort4 {
  unsigned short x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline ushort2 make_ushort2(unsigned short x, unsigned short y) { return {x, y}; }
inline ushort4 make_ushort4(unsigned short x, unsigned short y, unsigned short z, unsigned short w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

// Loads and stores with a hint for the cache.
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T x) {
  *p = x;
}
