#pragma once

#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// A stream of its own, which waits for no other.
class Stream {
 public:
  Stream() { MPIBERT_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace mpibert::cuda
