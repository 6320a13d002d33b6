#pragma once

// Device memory: a range of addresses in which each allocation begins a page and is followed by one that nothing may touch. Addresses are
// not used again, so that what has been freed stays forbidden.

#include <cstddef>
#include <cstdint>

#include "cuda_runtime_api.h"

namespace emulation {

inline constexpr uintptr_t kPageBytes = 4096;
inline constexpr uintptr_t kArenaBytes = uintptr_t{1} << 40;  // addresses
inline constexpr size_t kDeviceBytes = size_t{4} << 30;       // memory
extern uintptr_t arena_begin;                                 // 0 before the first allocation
extern const uint16_t* valid_bytes;  // of each page of the arena: how many of its bytes belong to a live allocation; they are its first

inline bool in_arena(const void* p) { return arena_begin != 0 && reinterpret_cast<uintptr_t>(p) - arena_begin < kArenaBytes; }

// Whether all of it lies in one live allocation.
inline bool is_allocated(const void* p, size_t bytes) {
  uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena_begin;
  for (;;) {
    const uintptr_t inside = offset % kPageBytes, valid = valid_bytes[offset / kPageBytes];
    if (inside + bytes <= valid) return true;
    if (valid < kPageBytes || inside + bytes <= kPageBytes) return false;
    bytes -= kPageBytes - inside;
    offset += kPageBytes - inside;
  }
}

bool is_pinned(const void* p, size_t bytes);  // memory of cudaMallocHost

cudaError_t returned(cudaError_t error);  // what a call of the runtime returns; an error is kept for cudaGetLastError

}  // namespace emulation
