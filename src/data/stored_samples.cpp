#include <algorithm>

#include "data/recently_used.h"
#include "data/sample_source.h"
#include "mpibert/base/error.h"
#include "mpibert/data/sampler.h"

namespace mpibert {

namespace {

// The sampler walks through one window of chunks at a time, so a cache of somewhat more chunks than that reads each chunk once an epoch.
constexpr size_t kCachedChunks = static_cast<size_t>(kChunksPerWindow) * 5 / 4;
constexpr size_t kOpenShards = 96;

class StoredSamples : public SampleSource {
 public:
  StoredSamples(std::filesystem::path folder, const Manifest& manifest, const SplitEntry& split)
      : folder_(std::move(folder)), manifest_(manifest), split_(split) {
    for (const ShardEntry& shard : split_.shards) first_ids_.push_back(first_ids_.back() + shard.count);
  }

  int64_t size() const override { return first_ids_.back(); }

  int64_t length(int64_t id, int64_t) override {
    const size_t shard = shard_of(id);
    return reader(shard).length(id - first_ids_[shard]);
  }

  Sample read(int64_t id, int64_t) override {
    const int64_t chunk = id / kSamplesPerChunk;
    const std::vector<Sample>& there = chunks_.get(chunk, [&] { return read_chunk(chunk); });
    return there[static_cast<size_t>(id - chunk * kSamplesPerChunk)];
  }

 private:
  size_t shard_of(int64_t id) const {
    return static_cast<size_t>(std::upper_bound(first_ids_.begin(), first_ids_.end(), id) - first_ids_.begin()) - 1;
  }

  ShardReader& reader(size_t shard) {
    return readers_.get(static_cast<int64_t>(shard), [&] {
      const ShardEntry& entry = split_.shards[shard];
      ShardReader opened(folder_ / entry.file, first_ids_[shard]);
      const std::string where = "shard " + (folder_ / entry.file).string();
      MPIBERT_CHECK(opened.size() == entry.count && opened.tokens() == entry.tokens, kCorrupt, where, " has ", opened.size(),
                    " samples of ", opened.tokens(), " tokens, the manifest says ", entry.count, " of ", entry.tokens);
      MPIBERT_CHECK(opened.labels() == split_.labels, kCorrupt, where, " has other labels than the manifest says");
      MPIBERT_CHECK(opened.options().vocabulary_sha256 == manifest_.vocabulary_sha256 &&
                        opened.options().vocabulary_size == manifest_.vocabulary_size,
                    kCorrupt, where, " was made with another vocabulary (", opened.options().vocabulary_sha256,
                    ") than the manifest says (", manifest_.vocabulary_sha256, ")");
      return opened;
    });
  }

  std::vector<Sample> read_chunk(int64_t chunk) {
    const int64_t begin = chunk * kSamplesPerChunk, end = std::min(begin + kSamplesPerChunk, first_ids_.back());
    std::vector<Sample> samples;
    for (int64_t id = begin; id < end;) {
      const size_t shard = shard_of(id);
      const int64_t stop = std::min(end, first_ids_[shard + 1]);
      std::vector<Sample> part = reader(shard).read(id - first_ids_[shard], stop - first_ids_[shard]);
      std::move(part.begin(), part.end(), std::back_inserter(samples));
      id = stop;
    }
    return samples;
  }

  std::filesystem::path folder_;
  const Manifest& manifest_;
  const SplitEntry& split_;
  std::vector<int64_t> first_ids_{0};  // of each shard, and the total
  RecentlyUsed<ShardReader> readers_{kOpenShards};
  RecentlyUsed<std::vector<Sample>> chunks_{kCachedChunks};
};

}  // namespace

std::unique_ptr<SampleSource> open_stored_samples(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split) {
  return std::make_unique<StoredSamples>(folder, manifest, split);
}

}  // namespace mpibert
