#pragma once

// Sees every access to memory that kernels make, through the calls that -fsanitize=thread puts before them (only the instrumentation is
// used; the functions it calls are ours). What it looks for is listed in README.md.

#include <cstddef>
#include <cstdint>

namespace emulation {

void begin_watching();      // before a kernel, on the thread that runs it
uintptr_t program_begin();  // where the program's file begins in memory

// Accesses that the emulation makes in the running thread's name, for mma.cuh; `pc` is of the kernel. Shared memory only, or global memory
// only.
void access_shared(const void* p, size_t bytes, bool write, const void* pc);
void access_global(const void* p, size_t bytes, const void* pc);

}  // namespace emulation
