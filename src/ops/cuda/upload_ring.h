#pragma once

#include <array>
#include <cstddef>

#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// Page-locked memory through which small uploads leave without a wait: the host's bytes are copied here, and go to the device when the stream
// comes to them. A place is taken again when its last transfer has ended, which after kPlaces uploads it mostly has.
class UploadRing {
 public:
  static constexpr size_t kMostBytes = size_t{8} << 20;  // of one upload
  static constexpr size_t kPlaces = 8;

  explicit UploadRing(cudaStream_t stream) : stream_(stream) {}
  ~UploadRing();
  UploadRing(const UploadRing&) = delete;
  UploadRing& operator=(const UploadRing&) = delete;

  // Returns when `from` may be written again; bytes <= kMostBytes.
  void put(const void* from, void* to, size_t bytes);

 private:
  struct Place {
    void* memory = nullptr;
    size_t bytes = 0;
    cudaEvent_t done = nullptr;
  };

  cudaStream_t stream_;
  std::array<Place, kPlaces> places_;
  size_t next_ = 0;
};

}  // namespace mpibert::cuda
