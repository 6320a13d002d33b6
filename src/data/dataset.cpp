#include "mpibert/data/dataset.h"

#include <algorithm>
#include <list>
#include <unordered_map>

#include "mpibert/base/error.h"
#include "mpibert/base/sha256.h"
#include "mpibert/data/sampler.h"

namespace mpibert {

namespace {

// The sampler walks through one window of chunks at a time, so a cache of somewhat more chunks than that reads each chunk once an epoch.
constexpr size_t kCachedChunks = static_cast<size_t>(kChunksPerWindow) * 5 / 4;
constexpr size_t kOpenShards = 96;

// The most recently used values of a function of a number.
template <class Value>
class RecentlyUsed {
 public:
  explicit RecentlyUsed(size_t capacity) : capacity_(capacity) {}
  template <class Make>
  Value& get(int64_t key, Make make) {
    if (const auto found = places_.find(key); found != places_.end()) {
      values_.splice(values_.begin(), values_, found->second);
      return values_.front().second;
    }
    Value value = make();
    if (values_.size() == capacity_) {
      places_.erase(values_.back().first);
      values_.pop_back();
    }
    values_.emplace_front(key, std::move(value));
    places_[key] = values_.begin();
    return values_.front().second;
  }

 private:
  size_t capacity_;
  std::list<std::pair<int64_t, Value>> values_;
  std::unordered_map<int64_t, typename std::list<std::pair<int64_t, Value>>::iterator> places_;
};

void check_file(const std::filesystem::path& path, const ShardEntry& shard, bool verify) {
  std::error_code code;
  const uintmax_t bytes = std::filesystem::file_size(path, code);
  MPIBERT_CHECK(!code, kNotFound, "shard ", path.string(), " of the manifest cannot be examined: ", code.message(), "; copy it again or prepare the data again");
  MPIBERT_CHECK(static_cast<int64_t>(bytes) == shard.bytes, kCorrupt, "shard ", path.string(), " has ", bytes, " bytes, the manifest says ", shard.bytes,
                "; copy it again or prepare the data again");
  if (!verify) return;
  const std::string found = sha256_hex_of_file(path);
  MPIBERT_CHECK(found == shard.sha256, kCorrupt, "shard ", path.string(), " has SHA-256 ", found, ", the manifest says ", shard.sha256,
                "; copy it again or prepare the data again");
}

}  // namespace

struct Dataset::Data {
  std::filesystem::path folder;
  Manifest manifest;
  const SplitEntry* split = nullptr;
  std::vector<int64_t> first_ids;  // of each shard, and the total
  std::string fingerprint;
  RecentlyUsed<ShardReader> readers{kOpenShards};
  RecentlyUsed<std::vector<Sample>> chunks{kCachedChunks};

  size_t shard_of(int64_t id) const;
  ShardReader& reader(size_t shard);
  std::vector<Sample> read_chunk(int64_t chunk);
};

Dataset::Dataset(const std::filesystem::path& folder, std::string_view split, bool verify) : data_(std::make_unique<Data>()) {
  Data& d = *data_;
  d.folder = folder;
  d.manifest = read_manifest(folder);
  d.split = &d.manifest.split(split);
  d.first_ids.push_back(0);
  Sha256 digests;
  for (const ShardEntry& shard : d.split->shards) {
    check_file(folder / shard.file, shard, verify);
    d.first_ids.push_back(d.first_ids.back() + shard.count);
    digests.update(shard.sha256).update("\n");
  }
  d.fingerprint = digests.hex();
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

int64_t Dataset::size() const { return data_->first_ids.back(); }
int64_t Dataset::tokens() const { return data_->split->tokens(); }
int64_t Dataset::longest() const { return data_->split->longest(); }
int64_t Dataset::choices() const {
  if (!has_field(labels(), kChoiceLengths) || size() == 0) return 1;
  return static_cast<int64_t>(read(std::vector<int64_t>{0})[0].label(kChoiceLengths).size());
}
int64_t Dataset::longest_sequence() const { return has_field(labels(), kChoiceLengths) ? std::min(longest(), manifest().max_seq_length) : longest(); }
const Schema& Dataset::labels() const { return data_->split->labels; }
const Manifest& Dataset::manifest() const { return data_->manifest; }
const std::string& Dataset::split() const { return data_->split->name; }
const std::string& Dataset::fingerprint() const { return data_->fingerprint; }

size_t Dataset::Data::shard_of(int64_t id) const {
  MPIBERT_CHECK(id >= 0 && id < first_ids.back(), kInvalidArgument, "sample ", id, " of split '", split->name, "' of ", folder.string(), ", which has ", first_ids.back());
  return static_cast<size_t>(std::upper_bound(first_ids.begin(), first_ids.end(), id) - first_ids.begin()) - 1;
}

ShardReader& Dataset::Data::reader(size_t shard) {
  return readers.get(static_cast<int64_t>(shard), [&] {
    const ShardEntry& entry = split->shards[shard];
    ShardReader opened(folder / entry.file, first_ids[shard]);
    const std::string where = "shard " + (folder / entry.file).string();
    MPIBERT_CHECK(opened.size() == entry.count && opened.tokens() == entry.tokens, kCorrupt, where, " has ", opened.size(), " samples of ", opened.tokens(),
                  " tokens, the manifest says ", entry.count, " of ", entry.tokens);
    MPIBERT_CHECK(opened.labels() == split->labels, kCorrupt, where, " has other labels than the manifest says");
    MPIBERT_CHECK(opened.options().vocabulary_sha256 == manifest.vocabulary_sha256 && opened.options().vocabulary_size == manifest.vocabulary_size, kCorrupt, where,
                  " was made with another vocabulary (", opened.options().vocabulary_sha256, ") than the manifest says (", manifest.vocabulary_sha256, ")");
    return opened;
  });
}

int64_t Dataset::length(int64_t id) const {
  const size_t shard = data_->shard_of(id);
  return data_->reader(shard).length(id - data_->first_ids[shard]);
}

std::vector<Sample> Dataset::Data::read_chunk(int64_t chunk) {
  const int64_t begin = chunk * kSamplesPerChunk, end = std::min(begin + kSamplesPerChunk, first_ids.back());
  std::vector<Sample> samples;
  for (int64_t id = begin; id < end;) {
    const size_t shard = shard_of(id);
    const int64_t stop = std::min(end, first_ids[shard + 1]);
    std::vector<Sample> part = reader(shard).read(id - first_ids[shard], stop - first_ids[shard]);
    std::move(part.begin(), part.end(), std::back_inserter(samples));
    id = stop;
  }
  return samples;
}

std::vector<Sample> Dataset::read(std::span<const int64_t> ids) const {
  std::vector<Sample> samples;
  samples.reserve(ids.size());
  for (const int64_t id : ids) {
    data_->shard_of(id);  // the range
    const int64_t chunk = id / kSamplesPerChunk;
    const std::vector<Sample>& there = data_->chunks.get(chunk, [&] { return data_->read_chunk(chunk); });
    samples.push_back(there[static_cast<size_t>(id - chunk * kSamplesPerChunk)]);
  }
  return samples;
}

}  // namespace mpibert
