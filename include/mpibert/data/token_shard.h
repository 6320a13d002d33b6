#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "mpibert/data/shard.h"

namespace mpibert {

// A tokenized document: sentence i is ids[offsets[i]] .. ids[offsets[i+1]-1]; no sentence is empty.
struct TokenizedDocument {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets{0};
  int64_t sentences() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

// A shard of a token store is one HDF5 file (format 1.10) of documents as token ids, from which samples of any length are made when they
// are needed. Root attributes:
//   format "mpibert-tokens"   version 1   documents D   sentences S   tokens T   vocabulary_size V   vocabulary_sha256
// Datasets, all of one dimension, contiguous, so that any range is one read of the file:
//   document_offsets [D+1] uint32   document d is sentences document_offsets[d] .. document_offsets[d+1]-1
//   sentence_offsets [S+1] uint32   sentence s is tokens sentence_offsets[s] .. sentence_offsets[s+1]-1
//   input_ids [T] uint16            int32 where V > 65536; each < V
//   block_crc32c [n] uint32         CRC-32C of each 64 KiB of the bytes of the three above, in this order; each begins a new block
// No document and no sentence is empty, both offsets begin with 0 and ascend. The bytes of the file are a function of its documents alone.
class TokenShardWriter {
 public:
  TokenShardWriter(std::filesystem::path path, ShardOptions options);
  ~TokenShardWriter();
  TokenShardWriter(TokenShardWriter&&) noexcept;
  TokenShardWriter& operator=(TokenShardWriter&&) noexcept;

  // Throws kInvalidArgument on a document without a sentence, on a token outside the vocabulary, and where a shard would pass 2^31 tokens.
  void add(const TokenizedDocument& document);
  int64_t documents() const;
  int64_t tokens() const;
  // Writes path.tmp, syncs, renames; see ShardWriter. Of the entry count is documents and longest the tokens of the longest document.
  ShardEntry commit();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

struct IndexRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const IndexRange&) const = default;
};

// An open shard of tokens. Every block is checked against its CRC-32C the first time it is read, and every offset and token before it is
// used: throws kCorrupt with the path, the dataset, the place and the remedy. Holds no more of the file in memory than its checksums. One
// thread at a time.
class TokenShard {
 public:
  explicit TokenShard(std::filesystem::path path);
  ~TokenShard();
  TokenShard(TokenShard&&) noexcept;
  TokenShard& operator=(TokenShard&&) noexcept;

  int64_t documents() const;
  int64_t sentences() const;
  int64_t tokens() const;
  const ShardOptions& options() const;

  std::vector<uint32_t> document_offsets(IndexRange documents) const;  // begin .. end, both: one more than documents
  std::vector<uint32_t> sentence_offsets(IndexRange sentences) const;  // likewise
  void append_ids(IndexRange tokens, std::vector<int32_t>& ids) const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
