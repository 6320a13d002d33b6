#pragma once

#include <algorithm>
#include <vector>

#include "mpibert/base/error.h"
#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// Device memory that one operation needs for its partial results. One operation at a time: what get() returned is lost at the next call.
// The operations of a stream run in order, so that the next one may write where the last one read.
//
// Memory that became too small stays, since graphs may have been captured with it. It at least doubles, so that all of it is less than
// twice the last.
class Workspace {
 public:
  explicit Workspace(cudaStream_t stream) : stream_(stream) {}
  ~Workspace() {
    for (void* each : memory_) cudaFree(each);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Throws kDevice where it would have to grow while a graph is captured.
  template <class T>
  T* get(int64_t n) {
    reserve(static_cast<size_t>(n) * sizeof(T));
    return memory_.empty() ? nullptr : static_cast<T*>(memory_.back());
  }

 private:
  void reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    MPIBERT_CHECK(!is_capturing(stream_), kDevice, "an operation of a captured graph asks for ", bytes,
                  " bytes of workspace, of which there are ", bytes_, ": run it once before it is captured");
    bytes = std::max(bytes, 2 * bytes_);
    void* memory = nullptr;
    MPIBERT_CUDA_CHECK(cudaMalloc(&memory, bytes));
    memory_.push_back(memory);
    bytes_ = bytes;
  }

  cudaStream_t stream_;
  std::vector<void*> memory_;
  size_t bytes_ = 0;  // of the last
};

}  // namespace mpibert::cuda
