#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "mpibert/data/dataset.h"

namespace mpibert {

// The samples of a split, wherever they come from: stored ones, the same in every epoch, or made of a token store, others in every epoch.
// One thread at a time.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual int64_t size() const = 0;  // samples of an epoch
  virtual int64_t length(int64_t id, int64_t epoch) = 0;
  virtual Sample read(int64_t id, int64_t epoch) = 0;
};

std::unique_ptr<SampleSource> open_stored_samples(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split);
std::unique_ptr<SampleSource> open_token_samples(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split,
                                                 const SampleRecipe& recipe);

}  // namespace mpibert
