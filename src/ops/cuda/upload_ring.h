#pragma once

#include <array>
#include <cstddef>

#include "ops/cuda/host_wait.h"
#include "ops/cuda/stream.h"

namespace mpibert::cuda {

// Memory through which small uploads leave without a wait. A place has page-locked memory, where the host's bytes are copied at once, and
// as much on the device, where a stream of its own takes them while the compute stream is still at earlier work; that then copies them to
// their target in its turn. A place is taken again when that copy has ended, which after kPlaces uploads it mostly has.
class UploadRing {
 public:
  static constexpr size_t kMostBytes = size_t{8} << 20;     // of one upload
  static constexpr size_t kLeastBytes = size_t{256} << 10;  // of a place: what a batch mostly is, so that places do not grow one by one
  static constexpr size_t kPlaces = 8;

  UploadRing(cudaStream_t compute, const HostWait& wait) : compute_(compute), wait_(wait) {}
  ~UploadRing();
  UploadRing(const UploadRing&) = delete;
  UploadRing& operator=(const UploadRing&) = delete;

  // Returns when `from` may be written again; bytes <= kMostBytes. `to` is written in the order of the compute stream.
  void put(const void* from, void* to, size_t bytes);
  cudaStream_t transfers() const { return transfers_.get(); }

 private:
  struct Place {
    void *host = nullptr, *device = nullptr;
    size_t bytes = 0;
    Event arrived, done;  // on the device; at the target
  };
  void grow(Place& place, size_t bytes);

  cudaStream_t compute_;
  const HostWait& wait_;
  Stream transfers_;
  std::array<Place, kPlaces> places_;
  size_t next_ = 0;
};

}  // namespace mpibert::cuda
