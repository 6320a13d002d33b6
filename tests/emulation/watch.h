#pragma once

// Sees every access to memory that kernels make, through the calls that -fsanitize=thread puts before them (only the instrumentation is used; the
// functions it calls are ours). What it looks for is listed in README.md.

#include <cstdint>

namespace emulation {

void begin_watching();        // before a kernel, on the thread that runs it
uintptr_t program_begin();    // where the program's file begins in memory

}  // namespace emulation
