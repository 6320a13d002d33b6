#pragma once

// The emulated multiprocessor, as tests see it. Kernels see include/cuda_runtime.h.

#include <stdexcept>

namespace emulation {

// What a kernel did that the device forbids. The kernel has been abandoned; the next launch starts afresh.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Whether kernels of this program were compiled so that every access to memory is seen (see README.md).
bool watches_memory();

}  // namespace emulation
