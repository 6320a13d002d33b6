#pragma once

#include <cuda_runtime_api.h>

#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// Device memory that one operation needs for its partial results; it keeps the largest size ever asked for. One operation at a time: what
// get() returned is lost at the next call. The operations of a stream run in order, so that the next one may write where the last one read.
class Workspace {
 public:
  explicit Workspace(cudaStream_t stream) : stream_(stream) {}
  ~Workspace() { cudaFree(memory_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  template <class T>
  T* get(int64_t n) {
    reserve(static_cast<size_t>(n) * sizeof(T));
    return static_cast<T*>(memory_);
  }

 private:
  void reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    MPIBERT_CUDA_CHECK(cudaStreamSynchronize(stream_));  // kernels may still use what is freed now
    MPIBERT_CUDA_CHECK(cudaFree(memory_));
    memory_ = nullptr;
    bytes_ = 0;
    MPIBERT_CUDA_CHECK(cudaMalloc(&memory_, bytes));
    bytes_ = bytes;
  }

  cudaStream_t stream_;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace mpibert::cuda
