#include "mpibert/data/dataset.h"

#include "data/sample_source.h"
#include "mpibert/base/error.h"
#include "mpibert/base/sha256.h"

namespace mpibert {

namespace {

void check_file(const std::filesystem::path& path, const ShardEntry& shard, bool verify) {
  std::error_code code;
  const uintmax_t bytes = std::filesystem::file_size(path, code);
  MPIBERT_CHECK(!code, kNotFound, "shard ", path.string(), " of the manifest cannot be examined: ", code.message(),
                "; copy it again or prepare the data again");
  MPIBERT_CHECK(static_cast<int64_t>(bytes) == shard.bytes, kCorrupt, "shard ", path.string(), " has ", bytes, " bytes, the manifest says ",
                shard.bytes, "; copy it again or prepare the data again");
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
  SampleRecipe recipe;
  std::string fingerprint;
  std::unique_ptr<SampleSource> samples;

  bool is_token_store() const { return manifest.storage == Storage::kTokens; }
  void check_id(int64_t id) const {
    MPIBERT_CHECK(id >= 0 && id < samples->size(), kInvalidArgument, "sample ", id, " of split '", split->name, "' of ", folder.string(),
                  ", which has ", samples->size());
  }
};

Dataset::Dataset(const std::filesystem::path& folder, std::string_view split, bool verify, const SampleRecipe& recipe)
    : data_(std::make_unique<Data>()) {
  Data& d = *data_;
  d.folder = folder;
  d.manifest = read_manifest(folder);
  d.split = &d.manifest.split(split);
  d.recipe = recipe;
  if (d.recipe.max_seq_length == 0) d.recipe.max_seq_length = d.manifest.max_seq_length;
  Sha256 digests;
  for (const ShardEntry& shard : d.split->shards) {
    check_file(folder / shard.file, shard, verify);
    digests.update(shard.sha256).update("\n");
  }
  if (d.is_token_store())
    digests.update(str_cat("max_seq_length ", d.recipe.max_seq_length, " short_seq_prob ", d.recipe.short_seq_prob, "\n"));
  d.fingerprint = digests.hex();
  d.samples =
      d.is_token_store() ? open_token_samples(folder, d.manifest, *d.split, d.recipe) : open_stored_samples(folder, d.manifest, *d.split);
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

int64_t Dataset::size() const { return data_->samples->size(); }
int64_t Dataset::tokens() const { return data_->is_token_store() ? size() * longest() : data_->split->tokens(); }
int64_t Dataset::longest() const { return data_->is_token_store() ? data_->recipe.max_seq_length : data_->split->longest(); }
int64_t Dataset::choices() const {
  if (!has_field(labels(), kChoiceLengths) || size() == 0) return 1;
  return static_cast<int64_t>(read(0).label(kChoiceLengths).size());
}
int64_t Dataset::longest_sequence() const {
  return has_field(labels(), kChoiceLengths) ? std::min(longest(), manifest().max_seq_length) : longest();
}
const Schema& Dataset::labels() const { return data_->split->labels; }
const Manifest& Dataset::manifest() const { return data_->manifest; }
const std::string& Dataset::split() const { return data_->split->name; }
const std::string& Dataset::fingerprint() const { return data_->fingerprint; }

int64_t Dataset::length(int64_t id, int64_t epoch) const {
  data_->check_id(id);
  return data_->samples->length(id, epoch);
}

Sample Dataset::read(int64_t id, int64_t epoch) const {
  data_->check_id(id);
  return data_->samples->read(id, epoch);
}

std::vector<Sample> Dataset::read(std::span<const int64_t> ids, int64_t epoch) const {
  std::vector<Sample> samples;
  samples.reserve(ids.size());
  for (const int64_t id : ids) samples.push_back(read(id, epoch));
  return samples;
}

}  // namespace mpibert
