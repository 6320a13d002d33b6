#pragma once

#include <cstdint>

namespace mpibert {

// Samples are read in chunks of this many consecutive ids, and shuffled within windows of this many chunks.
inline constexpr int64_t kSamplesPerChunk = 256;
inline constexpr int64_t kChunksPerWindow = 64;

enum class SampleOrder : uint8_t { kShuffled, kSequential };

// The order of the whole run as a pure function: no state but a position, so resume, another rank count and a test all ask the same
// question. In each epoch the chunks are permuted, then the samples within each window of chunks; both keyed by (seed, epoch). The last
// chunk may be short: positions that fall behind its end walk on through the permutation, so that every sample comes exactly once an epoch.
class Sampler {
 public:
  Sampler(int64_t samples, uint64_t seed, SampleOrder order = SampleOrder::kShuffled);  // throws kInvalidArgument unless samples > 0
  int64_t samples() const { return samples_; }
  int64_t epoch(int64_t position) const { return position / samples_; }
  int64_t at(int64_t position) const;  // sample id; position >= 0 counts over epochs

 private:
  int64_t samples_;
  uint64_t seed_;
  SampleOrder order_;
};

}  // namespace mpibert
