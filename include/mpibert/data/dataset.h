#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpibert/data/sample_plan.h"
#include "mpibert/data/schema.h"
#include "mpibert/data/shard.h"

namespace mpibert {

// What the shards of a data set hold.
enum class Storage : uint8_t {
  kSamples,  // samples as they are (shard.h)
  kTokens,   // documents (token_shard.h): samples are made of them when they are read, others in every epoch
};

// A prepared data set is a folder: shards, vocab.txt, tokenizer_config.json and, written last, manifest.json (JSON, format
// "mpibert-dataset", version 2) with what this struct holds. A folder without a manifest is a preparation that did not finish.
struct SplitEntry {
  std::string name{};   // "train", "dev", "test"
  Schema labels{};      // empty for an unlabelled test split
  int64_t dropped = 0;  // raw rows left out on purpose, such as SNLI pairs without a gold label
  std::vector<ShardEntry> shards{};

  int64_t count() const;  // samples; of a token store documents
  int64_t tokens() const;
  int64_t longest() const;  // tokens of the longest of them
};

struct Manifest {
  std::string task{};
  Storage storage = Storage::kSamples;
  uint64_t seed = 0;
  int64_t max_seq_length = 0;  // of a token store: unless its reader wants another
  int64_t vocabulary_size = 0;
  std::string vocabulary_sha256{};
  bool do_lower_case = true;
  std::vector<std::string> label_names{};                      // of a classification, by label number
  std::vector<std::pair<std::string, std::string>> options{};  // as prepared, for people
  std::vector<SplitEntry> splits{};

  const SplitEntry& split(std::string_view name) const;  // throws kNotFound naming those there are
  std::optional<std::string> option(std::string_view name) const;
  int64_t whole_number(std::string_view name) const;  // an option; throws kCorrupt if it is missing or no whole number
};

// Throws kNotFound without a manifest (naming `mpibert prepare`), kCorrupt if it is not one of this version.
Manifest read_manifest(const std::filesystem::path& folder);
void write_manifest(const std::filesystem::path& folder, const Manifest& manifest);

// One split of a prepared data set, read by sample id. One thread at a time.
//
// Of a token store, epoch e has as many samples as epoch 0, and sample `id` of epoch e is a function of the store, the recipe, id and e:
// not of the ranks or of what was read before. Next sentences that are random come from anywhere in the split.
class Dataset {
 public:
  // Checks that every shard is there with the size the manifest says; with `verify` also every SHA-256, which reads all bytes. The recipe
  // is of token stores; opening one reads the lengths of all sentences, on all threads. Throws as read_manifest, kCorrupt naming the shard,
  // what was expected and found, and kInvalidArgument for a recipe of less than 5 tokens.
  Dataset(const std::filesystem::path& folder, std::string_view split, bool verify = false, const SampleRecipe& recipe = {});
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;

  int64_t size() const;     // samples of an epoch; their ids are 0 .. size-1
  int64_t tokens() const;   // of all samples; of a token store as if all were as long as they may be
  int64_t longest() const;  // tokens that no sample exceeds
  int64_t choices() const;  // sequences of a sample: 1, or those of a multiple choice
  // Tokens that no sequence exceeds: those of the longest sample, or, where samples have several, the manifest's max_seq_length.
  int64_t longest_sequence() const;
  const Schema& labels() const;
  const Manifest& manifest() const;  // task, label names, vocabulary
  const std::string& split() const;
  // Equal for equal data and recipe, whatever the folder or file names: SHA-256 over the digests of the shards, in order.
  const std::string& fingerprint() const;

  // Throw kInvalidArgument outside 0 .. size-1. The samples that are stored are the same in every epoch.
  int64_t length(int64_t id, int64_t epoch = 0) const;  // tokens of a sample
  Sample read(int64_t id, int64_t epoch = 0) const;
  std::vector<Sample> read(std::span<const int64_t> ids, int64_t epoch = 0) const;  // in the order asked

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
