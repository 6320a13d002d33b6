#pragma once

// Products of 16-bit matrices on tensor cores by one warp, and what feeds them. Source: PTX ISA 8.8, "Warp-level matrix instructions"
// (mma.sync, ldmatrix) and "Data movement: cp.async"; sm_80 on. All 32 lanes call each of these together, but copy_async. Without nvcc they
// are the functions of tests/emulation.
//
// Fragments: with g = lane / 4 and t = lane % 4, each 32-bit register holding two neighbours, the lower one in the lower half,
//   a [16, 16]  a[0] = (row g, columns 2t, 2t + 1), a[1] the same of row g + 8, a[2] and a[3] eight columns on
//   b [16, 8]   b[0] = (rows 2t, 2t + 1 of column g), b[1] eight rows on
//   d [16, 8]   d[0], d[1] = (row g, columns 2t, 2t + 1), d[2] and d[3] the same of row g + 8
// So the sums of two products side by side, once packed, are the left operand of the next one: nothing is exchanged between lanes.

#include <cuda_runtime.h>

#include "ops/cuda/device/number.cuh"

namespace mpibert::cuda {
namespace {

// Two numbers rounded to T, to nearest, ties to even.
template <class T>
__device__ inline uint32_t pack(float low, float high);

// d += a b, the sums in fp32.
template <class T>
__device__ inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

#if defined(__CUDACC__)

template <>
__device__ inline uint32_t pack<bfloat16>(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

template <>
__device__ inline uint32_t pack<float16>(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

#define MPIBERT_MMA(T, type)                                                                                                          \
  template <>                                                                                                                         \
  __device__ inline void mma_m16n8k16<T>(float(&d)[4], const uint32_t(&a)[4], const uint32_t(&b)[2]) {                                \
    asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                                              \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                                          \
  }
MPIBERT_MMA(bfloat16, "bf16")
MPIBERT_MMA(float16, "f16")
#undef MPIBERT_MMA

__device__ inline uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// Four 8 x 8 matrices from shared memory. `row` is 16 aligned bytes: lane i names row i % 8 of matrix i / 8. The lane gets in matrices[m]
// the elements 2t, 2t + 1 of row g; transposed, of column g.
__device__ inline void ldmatrix_x4(uint32_t (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix_x4_trans(uint32_t (&matrices)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}

// Begins a copy of `bytes` (4 or 16), aligned to them, from device to shared memory; of zeros if not `valid` (`from` is not read then).
template <int bytes>
__device__ inline void copy_async(void* to, const void* from, bool valid) {
  static_assert(bytes == 4 || bytes == 16);
  const int size = valid ? bytes : 0;
  if constexpr (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(size) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(size) : "memory");
  }
}
// What the thread has begun since the last call becomes one group.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all of the thread's groups but the last `pending`. A barrier must follow before other threads read.
template <int pending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

#else

template <class T>
inline uint32_t pack(float low, float high) {
  return T(low).bits | static_cast<uint32_t>(T(high).bits) << 16;
}
template <class T>
inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulation::mma_m16n8k16(d, a, b, [](uint16_t bits) {
    T number;
    number.bits = bits;
    return static_cast<float>(number);
  });
}
inline void ldmatrix_x4(uint32_t (&matrices)[4], const void* row) { emulation::ldmatrix(matrices, 4, false, row); }
inline void ldmatrix_x4_trans(uint32_t (&matrices)[4], const void* row) { emulation::ldmatrix(matrices, 4, true, row); }
template <int bytes>
inline void copy_async(void* to, const void* from, bool valid) {
  emulation::copy_async(to, from, bytes, valid);
}
inline void commit_copies() { emulation::commit_copies(); }
template <int pending>
inline void wait_for_copies() {
  emulation::wait_for_copies(pending);
}

#endif

}  // namespace
}  // namespace mpibert::cuda
