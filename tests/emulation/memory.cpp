#include "tests/emulation/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tests/emulation/streams.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, bytes) __asan_poison_memory_region((p), (bytes))
#define UNPOISON(p, bytes) __asan_unpoison_memory_region((p), (bytes))
#else
#define POISON(p, bytes) ((void)(p), (void)(bytes))
#define UNPOISON(p, bytes) ((void)(p), (void)(bytes))
#endif

namespace emulation {

uintptr_t arena_begin = 0;
const uint16_t* valid_bytes = nullptr;

namespace {

struct Device {
  std::mutex mutex;
  uint16_t* valid = nullptr;
  uintptr_t end = 0;  // of what has ever been allocated, from the arena's begin
  size_t in_use = 0;
  std::map<uintptr_t, size_t> allocations;
  std::map<uintptr_t, size_t> pinned;
  cudaError_t last_error = cudaSuccess;
};
// Never destroyed: static objects of tests free device memory after main.
Device& device() {
  static Device& it = *new Device;
  return it;
}

void* reserve(size_t bytes, int protection) {
  void* memory = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return memory;
}

uintptr_t pages_of(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

cudaError_t check_transfer(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = in_arena(to), from_device = in_arena(from);
  if (kind != cudaMemcpyDefault) {
    if (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice)) return cudaErrorInvalidValue;
    if (from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice)) return cudaErrorInvalidValue;
  }
  if (to_device && !is_allocated(to, bytes)) return cudaErrorInvalidValue;
  if (from_device && !is_allocated(from, bytes)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

}  // namespace

cudaError_t returned(cudaError_t error) {
  if (error != cudaSuccess) device().last_error = error;
  return error;
}

bool is_pinned(const void* p, size_t bytes) {
  const std::scoped_lock lock(device().mutex);
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  const auto after = device().pinned.upper_bound(address);
  if (after == device().pinned.begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  return address + bytes <= begin + size;
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (arena_begin == 0) {
    d.valid = static_cast<uint16_t*>(reserve(kArenaBytes / kPageBytes * sizeof(uint16_t), PROT_READ | PROT_WRITE));
    valid_bytes = d.valid;
    arena_begin = reinterpret_cast<uintptr_t>(reserve(kArenaBytes, PROT_NONE));
    d.end = kPageBytes;
  }
  if (bytes > kDeviceBytes - d.in_use) return returned(cudaErrorMemoryAllocation);
  const uintptr_t pages = pages_of(bytes);
  if ((pages + 1) * kPageBytes > kArenaBytes - d.end) return returned(cudaErrorMemoryAllocation);
  void* memory = reinterpret_cast<void*>(arena_begin + d.end);
  if (mprotect(memory, pages * kPageBytes, PROT_READ | PROT_WRITE) != 0) return returned(cudaErrorMemoryAllocation);
  uint16_t* valid = d.valid + d.end / kPageBytes;
  std::fill_n(valid, pages, static_cast<uint16_t>(kPageBytes));
  valid[pages - 1] = static_cast<uint16_t>(bytes - (pages - 1) * kPageBytes);
  d.end += (pages + 1) * kPageBytes;
  d.in_use += bytes;
  d.allocations[reinterpret_cast<uintptr_t>(memory)] = bytes;
  std::memset(memory, 0xff, bytes);
  POISON(static_cast<std::byte*>(memory) + bytes, pages * kPageBytes - bytes);
  *pointer = memory;
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  finish_all_work();
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  if (!pointer) return cudaSuccess;
  const auto found = d.allocations.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == d.allocations.end()) return returned(cudaErrorInvalidValue);
  const uintptr_t pages = pages_of(found->second);
  std::fill_n(d.valid + (found->first - arena_begin) / kPageBytes, pages, uint16_t{0});
  UNPOISON(pointer, pages * kPageBytes);
  madvise(pointer, pages * kPageBytes, MADV_DONTNEED);
  mprotect(pointer, pages * kPageBytes, PROT_NONE);
  d.in_use -= found->second;
  d.allocations.erase(found);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes, unsigned) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  const std::scoped_lock lock(device().mutex);
  *pointer = std::malloc(std::max<size_t>(bytes, 1));
  if (!*pointer) return returned(cudaErrorMemoryAllocation);
  device().pinned[reinterpret_cast<uintptr_t>(*pointer)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) { return cudaMallocHost(pointer, bytes, flags); }

cudaError_t cudaFreeHost(void* pointer) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  const std::scoped_lock lock(device().mutex);
  if (!pointer) return cudaSuccess;
  if (device().pinned.erase(reinterpret_cast<uintptr_t>(pointer)) == 0) return returned(cudaErrorInvalidValue);
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::scoped_lock lock(device().mutex);
  *free = kDeviceBytes - device().in_use;
  *total = kDeviceBytes;
  return cudaSuccess;
}

// To pageable memory the runtime returns when it has arrived; from there it takes a copy along. A captured copy reads its host memory at
// every launch.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes > 0) {
    const std::scoped_lock lock(device().mutex);
    if (const cudaError_t error = check_transfer(to, from, bytes, kind); error != cudaSuccess) return returned(error);
  }
  cudaStreamCaptureStatus capture{};
  if (const cudaError_t error = cudaStreamIsCapturing(stream, &capture); error != cudaSuccess) return error;
  if (in_arena(from) || is_pinned(from, bytes) || capture != cudaStreamCaptureStatusNone) {
    const cudaError_t error = enqueue(stream, [=] { return std::memmove(to, from, bytes), true; });
    return error != cudaSuccess || in_arena(to) || is_pinned(to, bytes) ? error : cudaStreamSynchronize(stream);
  }
  const auto* begin = static_cast<const std::byte*>(from);
  return enqueue(stream, [to, copy = std::vector<std::byte>(begin, begin + bytes)] {
    return std::copy(copy.begin(), copy.end(), static_cast<std::byte*>(to)), true;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error == cudaSuccess ? cudaStreamSynchronize(nullptr) : error;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (bytes > 0) {
    const std::scoped_lock lock(device().mutex);
    if (!in_arena(to) || !is_allocated(to, bytes)) return returned(cudaErrorInvalidValue);
  }
  return enqueue(stream, [=] { return std::memset(to, value, bytes), true; });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

// ---- Devices

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index != 0) return returned(cudaErrorInvalidDevice);
  *properties = {"emulated card"};
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) { return index == 0 ? cudaSuccess : returned(cudaErrorInvalidDevice); }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  if (index != 0) return returned(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = 1024;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = 4;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 227 * 1024;
      return cudaSuccess;
  }
  return returned(cudaErrorInvalidValue);
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int index) {
  if (index != 0) return returned(cudaErrorInvalidDevice);
  const char* given = std::getenv("EMULATED_CARD");
  const auto id = static_cast<unsigned>(getpid());
  const int length = given ? std::snprintf(text, static_cast<size_t>(bytes), "%s", given)
                           : std::snprintf(text, static_cast<size_t>(bytes), "%04x:%02x:%02x.0", id >> 16, id >> 8 & 0xff, id & 0xff);
  return length < bytes ? cudaSuccess : returned(cudaErrorInvalidValue);
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute attribute, int value) {
  return attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value > 227 * 1024 ? returned(cudaErrorInvalidValue) : cudaSuccess;
}

cudaError_t cudaPeekAtLastError() { return device().last_error; }
cudaError_t cudaGetLastError() { return std::exchange(device().last_error, cudaSuccess); }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidMemcpyDirection:
      return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorIllegalState:
      return "cudaErrorIllegalState";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureIsolation:
      return "cudaErrorStreamCaptureIsolation";
    case cudaErrorStreamCaptureWrongThread:
      return "cudaErrorStreamCaptureWrongThread";
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidMemcpyDirection:
      return "invalid copy direction for memcpy";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorIllegalState:
      return "the operation cannot be performed in the present state";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureIsolation:
      return "dependency created on uncaptured work in another stream";
    case cudaErrorStreamCaptureWrongThread:
      return "attempt to terminate a thread-local capture sequence from another thread";
  }
  return "unrecognized error code";
}
