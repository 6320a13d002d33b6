#pragma once

#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// A place in a stream's order, recorded by cudaEventRecord. It measures no time unless made with cudaEventDefault.
class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) { MPIBERT_CUDA_CHECK(cudaEventCreateWithFlags(&event_, flags)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }
  bool has_passed() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status != cudaErrorNotReady) check_cuda(status, "cudaEventQuery");
    return status == cudaSuccess;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace mpibert::cuda
