#include "tests/emulation/watch.h"

#include <link.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "tests/emulation/machine.h"
#include "tests/emulation/memory.h"
#include "tests/emulation/simt.h"

namespace emulation {
namespace {

// One access to a byte of shared memory.
struct Access {
  uint32_t interval = 0;  // 0: none
  uint32_t clock = 0;     // of the thread's lane, since the interval began
  uint32_t pc = 0;        // from the program's begin
  uint16_t thread = 0;
};
// The last write, and up to two reads since that are not ordered after one another; of two warps if there are two.
struct Byte {
  Access write, reads[2];
};

// Shared memory is this thread's copy of the program's thread-local segment. `bytes` is one for each of its bytes.
struct Shared {
  uintptr_t begin = 0, size = 0;
  Byte* bytes = nullptr;
};
Shared shared;
uintptr_t image_begin = 0, image_end = 0;
bool instrumented = false;

int find_program(dl_phdr_info* info, size_t, void*) {  // the first entry is the program
  image_begin = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD) image_end = std::max<uintptr_t>(image_end, info->dlpi_addr + header.p_vaddr + header.p_memsz);
    if (header.p_type != PT_TLS || header.p_memsz == 0) continue;
    shared.begin = reinterpret_cast<uintptr_t>(info->dlpi_tls_data);
    if (shared.size == header.p_memsz) continue;
    shared.size = header.p_memsz;
    void* memory = mmap(nullptr, shared.size * sizeof(Byte), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    shared.bytes = static_cast<Byte*>(memory);
  }
  return 1;
}

const void* pc_of(const Access& access) { return reinterpret_cast<const void*>(image_begin + access.pc); }

[[noreturn]] void refuse(const char* what, bool write, const void* p, size_t bytes, const void* pc) {
  {
    std::ostringstream text;
    text << what << ": " << (write ? "writes " : "reads ") << bytes << " bytes at " << p;
    report(text.str(), pc);
  }
  abandon();
}

[[noreturn]] void race(bool write, bool other_write, const Access& other, uintptr_t offset, const void* pc) {
  {
    std::ostringstream text;
    text << "race in shared memory, byte " << offset << " of it: " << name_of_thread(machine.current) << (write ? " writes" : " reads")
         << " what " << name_of_thread(other.thread) << (other_write ? " wrote" : " read") << " with no barrier between";
    report(text.str(), pc, pc_of(other));
  }
  abandon();
}

bool same_warp(int a, int b) { return a / kWarpLanes == b / kWarpLanes; }

// Whether `before` is ordered before what the running thread does now.
bool is_ordered(const Access& before) {
  if (before.interval != machine.interval || before.thread == machine.current) return true;
  return same_warp(before.thread, machine.current) && ordered_in_warp(machine.current, before.thread, before.clock);
}

void shared_access(uintptr_t offset, size_t bytes, bool write, const void* pc, const void* p) {
  const uintptr_t dynamic = reinterpret_cast<uintptr_t>(mpibert::cuda::dynamic_shared) - shared.begin;
  if (offset + bytes > dynamic + machine.shared_bytes && offset < dynamic + kMostSharedBytes && offset + bytes > dynamic)
    refuse("out of bounds: dynamic shared memory past what the launch asked for", write, p, bytes, pc);
  const WarpOrder& order = machine.orders[static_cast<size_t>(machine.current / kWarpLanes)];
  const Access now = {.interval = machine.interval,
                      .clock = order.used ? order.clock[static_cast<size_t>(machine.current % kWarpLanes)] : 0,
                      .pc = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc) - image_begin),
                      .thread = static_cast<uint16_t>(machine.current)};
  for (size_t i = 0; i < bytes; ++i) {
    Byte& byte = shared.bytes[offset + i];
    if (!is_ordered(byte.write)) race(write, true, byte.write, offset + i, pc);
    if (write) {
      for (const Access& read : byte.reads)
        if (!is_ordered(read)) race(true, false, read, offset + i, pc);
      byte.write = now;
      continue;
    }
    if (byte.write.interval < machine.first_interval_of_block) refuse("shared memory that this block has not written", false, p, bytes, pc);
    if (is_ordered(byte.reads[0])) {
      byte.reads[0] = now;
    } else if (is_ordered(byte.reads[1]) ||
               (same_warp(byte.reads[0].thread, byte.reads[1].thread) && !same_warp(byte.reads[0].thread, now.thread))) {
      byte.reads[1] = now;
    }
  }
}

[[gnu::noinline]] void host_access(const void* p, size_t bytes, bool write, const void* pc) {
  if (!in_arena(p)) return;
  std::fprintf(stderr, "emulation: host code %s %zu bytes of device memory at %p (program offset 0x%zx)\n", write ? "writes" : "reads",
               bytes, p, static_cast<size_t>(reinterpret_cast<uintptr_t>(pc) - image_begin));
  std::abort();
}

inline void access(const void* p, size_t bytes, bool write, bool aligned, const void* pc) {
  if (!machine.running) [[unlikely]]
    return host_access(p, bytes, write, pc);
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  if (address - stacks_begin < stacks_bytes) return;
  if (aligned && address % bytes != 0) refuse("misaligned address", write, p, bytes, pc);
  if (in_arena(p)) {
    if (!is_allocated(p, bytes)) refuse("out of bounds: device memory that is not allocated", write, p, bytes, pc);
    return;
  }
  if (address - shared.begin < shared.size) return shared_access(address - shared.begin, bytes, write, pc, p);
  if (!write && p >= machine.kernel && p < machine.kernel_end) return;
  if (!write && image_begin <= address && address < image_end) return;  // constants, threadIdx and its like
  if (is_pinned(p, bytes)) return;
  refuse("memory of the host", write, p, bytes, pc);
}

}  // namespace

void access_shared(const void* p, size_t bytes, bool write, const void* pc) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  if (address % bytes != 0) refuse("misaligned address", write, p, bytes, pc);
  if (address - shared.begin >= shared.size) refuse("expected an address in shared memory", write, p, bytes, pc);
  if (instrumented) shared_access(address - shared.begin, bytes, write, pc, p);
}

void access_global(const void* p, size_t bytes, const void* pc) {
  if (reinterpret_cast<uintptr_t>(p) - shared.begin < shared.size) refuse("expected an address in device memory", false, p, bytes, pc);
  access(p, bytes, false, true, pc);
}

void begin_watching() { dl_iterate_phdr(find_program, nullptr); }
uintptr_t program_begin() { return image_begin; }
bool watches_memory() { return instrumented; }

}  // namespace emulation

// The functions that GCC's instrumentation calls.
#define PC __builtin_return_address(0)
#define MPIBERT_HOOKS(bytes)                                                                             \
  void __tsan_read##bytes(void* p) { emulation::access(p, bytes, false, true, PC); }                     \
  void __tsan_write##bytes(void* p) { emulation::access(p, bytes, true, true, PC); }                     \
  void __tsan_unaligned_read##bytes(void* p) { emulation::access(p, bytes, false, false, PC); }          \
  void __tsan_unaligned_write##bytes(void* p) { emulation::access(p, bytes, true, false, PC); }          \
  void __tsan_volatile_read##bytes(void* p) { emulation::access(p, bytes, false, true, PC); }            \
  void __tsan_volatile_write##bytes(void* p) { emulation::access(p, bytes, true, true, PC); }            \
  void __tsan_unaligned_volatile_read##bytes(void* p) { emulation::access(p, bytes, false, false, PC); } \
  void __tsan_unaligned_volatile_write##bytes(void* p) { emulation::access(p, bytes, true, false, PC); }

// Atomics: of host code beside the kernels (reference counts, guards of static objects). Kernels have none: no sum may depend on who comes
// first.
#define MPIBERT_ATOMICS(bits, T)                                                                                    \
  T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }           \
  void __tsan_atomic##bits##_store(volatile T* p, T x, int) { __atomic_store_n(p, x, __ATOMIC_SEQ_CST); }           \
  T __tsan_atomic##bits##_exchange(volatile T* p, T x, int) { return __atomic_exchange_n(p, x, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T x, int) { return __atomic_fetch_add(p, x, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T x, int) { return __atomic_fetch_sub(p, x, __ATOMIC_SEQ_CST); } \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* expected, T x, int, int) {                    \
    return __atomic_compare_exchange_n(p, expected, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                  \
  }

extern "C" {
MPIBERT_ATOMICS(8, unsigned char)
MPIBERT_ATOMICS(32, unsigned)
MPIBERT_ATOMICS(64, unsigned long)
void __tsan_init() { emulation::instrumented = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
MPIBERT_HOOKS(1)
MPIBERT_HOOKS(2)
MPIBERT_HOOKS(4)
MPIBERT_HOOKS(8)
MPIBERT_HOOKS(16)
void __tsan_read_range(void* p, long bytes) { emulation::access(p, static_cast<size_t>(bytes), false, false, PC); }
void __tsan_write_range(void* p, long bytes) { emulation::access(p, static_cast<size_t>(bytes), true, false, PC); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
