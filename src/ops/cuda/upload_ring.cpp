#include "ops/cuda/upload_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert::cuda {

UploadRing::~UploadRing() {
  for (const Place& place : places_) {
    cudaEventSynchronize(place.done.get());
    cudaFree(place.device);
    cudaFreeHost(place.host);
  }
}

void UploadRing::put(const void* from, void* to, size_t bytes) {
  MPIBERT_ASSERT(bytes <= kMostBytes);
  Place& place = places_[next_++ % kPlaces];
  wait_.until(place.done);
  if (bytes > place.bytes) grow(place, std::bit_ceil(std::max(bytes, kLeastBytes)));
  std::memcpy(place.host, from, bytes);
  MPIBERT_CUDA_CHECK(cudaMemcpyAsync(place.device, place.host, bytes, cudaMemcpyHostToDevice, transfers_.get()));
  MPIBERT_CUDA_CHECK(cudaEventRecord(place.arrived.get(), transfers_.get()));
  MPIBERT_CUDA_CHECK(cudaStreamWaitEvent(compute_, place.arrived.get(), 0));
  MPIBERT_CUDA_CHECK(cudaMemcpyAsync(to, place.device, bytes, cudaMemcpyDeviceToDevice, compute_));
  MPIBERT_CUDA_CHECK(cudaEventRecord(place.done.get(), compute_));
}

// Of a place that nothing uses. Freeing device memory waits for all work of the card, which a place does a few times.
void UploadRing::grow(Place& place, size_t bytes) {
  if (std::exchange(place.bytes, 0) > 0) {
    MPIBERT_CUDA_CHECK(cudaFreeHost(std::exchange(place.host, nullptr)));
    MPIBERT_CUDA_CHECK(cudaFree(std::exchange(place.device, nullptr)));
  }
  MPIBERT_CUDA_CHECK(cudaMallocHost(&place.host, bytes));
  MPIBERT_CUDA_CHECK(cudaMalloc(&place.device, bytes));
  place.bytes = bytes;
}

}  // namespace mpibert::cuda
