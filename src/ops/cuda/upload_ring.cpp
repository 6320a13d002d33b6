#include "ops/cuda/upload_ring.h"

#include <bit>
#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert::cuda {

UploadRing::~UploadRing() {
  for (const Place& place : places_) {
    if (place.done) cudaEventSynchronize(place.done), cudaEventDestroy(place.done);
    cudaFreeHost(place.memory);
  }
}

void UploadRing::put(const void* from, void* to, size_t bytes) {
  MPIBERT_ASSERT(bytes <= kMostBytes);
  Place& place = places_[next_++ % kPlaces];
  if (place.done) {
    MPIBERT_CUDA_CHECK(cudaEventSynchronize(place.done));
  } else {
    MPIBERT_CUDA_CHECK(cudaEventCreateWithFlags(&place.done, cudaEventDisableTiming));
  }
  if (bytes > place.bytes) {
    MPIBERT_CUDA_CHECK(cudaFreeHost(place.memory));
    place = {.memory = nullptr, .bytes = 0, .done = place.done};
    const size_t size = std::bit_ceil(bytes);
    MPIBERT_CUDA_CHECK(cudaMallocHost(&place.memory, size));
    place.bytes = size;
  }
  std::memcpy(place.memory, from, bytes);
  MPIBERT_CUDA_CHECK(cudaMemcpyAsync(to, place.memory, bytes, cudaMemcpyHostToDevice, stream_));
  MPIBERT_CUDA_CHECK(cudaEventRecord(place.done, stream_));
}

}  // namespace mpibert::cuda
