#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mpibert/data/schema.h"

namespace mpibert {

// A shard is one HDF5 file (format 1.10, chunked, fletcher32 on every dataset) of samples in the layout `flat`, version 1. Its bytes are a
// function of its samples alone: no times are stored. Root attributes:
//   format "mpibert-shard"   version 1   layout "flat"   count n   tokens T   vocabulary_size V   vocabulary_sha256
//   labels "name:type:per" of each label, separated by spaces; type int32 or fp32, per token, sequence or prediction
// Datasets, all of one dimension:
//   offsets [n+1] int64             sample i is tokens offsets[i] .. offsets[i+1]-1; offsets[0] = 0, no sample is empty, offsets[n] = T
//   input_ids [T] uint16            int32 where V > 65536; each < V
//   token_type_ids [T] uint8        0 or 1
//   <label> int32 or float32        [T], [n] or [total predictions], as its `per` says
//   prediction_offsets [n+1] int64  only with labels per prediction: those of sample i, as offsets; a sample may have none
// masked_lm_positions are places within the sample, ascending; masked_lm_ids are < V; choice_lengths are above 0 and together the tokens of
// the sample.
enum class Layout : uint8_t { kFlat };

struct ShardOptions {
  int64_t vocabulary_size = 0;
  std::string vocabulary_sha256{};
  Layout layout = Layout::kFlat;
};

// What a manifest says of one shard; of a shard of tokens (token_shard.h), documents take the place of samples.
struct ShardEntry {
  std::string file{};  // name in the folder of the manifest
  int64_t count = 0, tokens = 0;
  int64_t longest = 0;  // tokens of its longest sample
  int64_t bytes = 0;
  std::string sha256{};
  bool operator==(const ShardEntry&) const = default;
};

// Collects samples in memory (about 3 bytes a token) and writes them as one file.
// The schema names the labels; input_ids and token_type_ids are always there.
class ShardWriter {
 public:
  ShardWriter(std::filesystem::path path, Schema labels, ShardOptions options);
  ~ShardWriter();
  ShardWriter(ShardWriter&&) noexcept;
  ShardWriter& operator=(ShardWriter&&) noexcept;

  // The id is not stored: it follows from the place. Throws kInvalidArgument on an empty sample, on labels other than the schema's and on
  // a token outside the vocabulary.
  void add(const Sample& sample);
  int64_t size() const;
  // Writes path.tmp, syncs, renames; the digest is that of the file. Without commit() nothing appears. Throws kIo, kPermission.
  ShardEntry commit();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// An open shard. Everything a file says is checked before it is used: throws kCorrupt with the path, the dataset, the index and the remedy;
// kNotFound and kPermission as usual. One thread at a time; several readers may be used by several threads.
class ShardReader {
 public:
  explicit ShardReader(std::filesystem::path path, int64_t first_id = 0);  // first_id: the id of row 0
  ~ShardReader();
  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;

  int64_t size() const;
  int64_t tokens() const;
  const Schema& labels() const;
  const ShardOptions& options() const;
  int64_t length(int64_t row) const;                           // tokens of a sample; reads nothing
  std::vector<Sample> read(int64_t begin, int64_t end) const;  // rows begin .. end-1; throws kInvalidArgument outside

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
