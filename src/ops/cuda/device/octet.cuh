#pragma once

// Element-by-element work, eight neighbours a thread: 16 bytes of bf16, or two times 16 of fp32, in one access where the address allows it.
// The arithmetic between load and store is the same code for all eight and for the last few of a row, so that no result depends on where an
// element stands.

#include <cuda_runtime.h>

#include "ops/cuda/device/number.cuh"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {

inline constexpr int kOctet = 8;
inline constexpr int kOctetThreads = 256;  // of a block

inline constexpr int64_t octets_of(int64_t n) { return (n + kOctet - 1) / kOctet; }

// A thread for each octet of n elements.
inline LaunchShape octet_a_thread(int64_t n) {
  return {.grid = static_cast<unsigned>((octets_of(n) + kOctetThreads - 1) / kOctetThreads), .block = kOctetThreads};
}

// A block for each row; its threads take an octet each until there are no more.
inline LaunchShape row_a_block(int64_t rows, int64_t columns) {
  const int64_t warps = (octets_of(columns) + 31) / 32;
  const int64_t threads = warps < 1 ? 32 : warps > kOctetThreads / 32 ? kOctetThreads : 32 * warps;
  return {.grid = static_cast<unsigned>(rows), .block = static_cast<unsigned>(threads)};
}

// First element of this thread's octet, under octet_a_thread().
__device__ inline int64_t my_octet() { return (static_cast<int64_t>(blockIdx.x) * kOctetThreads + threadIdx.x) * kOctet; }

// How many of the eight elements from `begin` are among n: less than 1 where there are none.
__device__ inline int octet_size(int64_t begin, int64_t n) { return n - begin < kOctet ? static_cast<int>(n - begin) : kOctet; }

struct Octet {
  float x[kOctet];
  __device__ float& operator[](int i) { return x[i]; }
  __device__ float operator[](int i) const { return x[i]; }
};

// What one instruction reads or writes.
template <class T>
struct alignas(16) Packet {
  static constexpr int kSize = 16 / sizeof(T);
  T x[kSize];
};

template <class T>
__device__ inline bool is_packed(const T* p, int size) {
  return size >= kOctet && reinterpret_cast<uintptr_t>(p) % sizeof(Packet<T>) == 0;
}

// p[0 .. size-1], then zeros; size may be less than 1 or more than 8.
template <class T>
__device__ inline Octet load_octet(const T* p, int size) {
  using P = Packet<T>;
  Octet octet;
  if (is_packed(p, size)) {
#pragma unroll
    for (int i = 0; i < kOctet; i += P::kSize) {
      const P packet = *reinterpret_cast<const P*>(p + i);
#pragma unroll
      for (int j = 0; j < P::kSize; ++j) octet[i + j] = load(&packet.x[j]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kOctet; ++i) octet[i] = i < size ? load(p + i) : 0.0f;
  }
  return octet;
}

template <class T>
__device__ inline void store_octet(T* p, const Octet& octet, int size) {
  using P = Packet<T>;
  if (is_packed(p, size)) {
#pragma unroll
    for (int i = 0; i < kOctet; i += P::kSize) {
      P packet;
#pragma unroll
      for (int j = 0; j < P::kSize; ++j) store(&packet.x[j], octet[i + j]);
      *reinterpret_cast<P*>(p + i) = packet;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kOctet; ++i)
      if (i < size) store(p + i, octet[i]);
  }
}

}  // namespace mpibert::cuda
