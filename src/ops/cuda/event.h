#pragma once

#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// A place in a stream's order, recorded by cudaEventRecord; it measures no time.
class Event {
 public:
  Event() { MPIBERT_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace mpibert::cuda
