#include "mpibert/data/sampler.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/base/random.h"

namespace mpibert {

namespace {

// Place i of an epoch over whole chunks, of which the last may be larger than what it holds.
int64_t shuffled(int64_t i, int64_t chunks, uint64_t seed, uint64_t epoch) {
  const int64_t window_size = kSamplesPerChunk * kChunksPerWindow, window = i / window_size;
  const int64_t first_chunk = window * kChunksPerWindow, chunks_here = std::min(kChunksPerWindow, chunks - first_chunk);
  const Permutation within(static_cast<uint64_t>(chunks_here * kSamplesPerChunk), seed, RandomPurpose::kShuffleSamples,
                           epoch << 32 | static_cast<uint64_t>(window));
  const int64_t j = static_cast<int64_t>(within.at(static_cast<uint64_t>(i - window * window_size)));
  const Permutation order(static_cast<uint64_t>(chunks), seed, RandomPurpose::kShuffleChunks, epoch);
  const int64_t chunk = static_cast<int64_t>(order.at(static_cast<uint64_t>(first_chunk + j / kSamplesPerChunk)));
  return chunk * kSamplesPerChunk + j % kSamplesPerChunk;
}

}  // namespace

Sampler::Sampler(int64_t samples, uint64_t seed, SampleOrder order) : samples_(samples), seed_(seed), order_(order) {
  MPIBERT_CHECK(samples > 0, kInvalidArgument, "a data set without samples cannot be sampled");
}

int64_t Sampler::at(int64_t position) const {
  MPIBERT_CHECK(position >= 0, kInvalidArgument, "position ", position, " of a run");
  int64_t i = position % samples_;
  if (order_ == SampleOrder::kSequential) return i;
  const int64_t chunks = (samples_ + kSamplesPerChunk - 1) / kSamplesPerChunk;
  // A permutation of the first places of a larger one: walk along its cycle until it comes back among them.
  do i = shuffled(i, chunks, seed_, static_cast<uint64_t>(position / samples_));
  while (i >= samples_);
  return i;
}

}  // namespace mpibert
