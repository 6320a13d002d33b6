#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "mpibert/data/corpus.h"
#include "mpibert/data/token_shard.h"

namespace mpibert {

// What a corpus holds. Lengths are in tokens; bucket k of a histogram counts lengths 2^k .. 2^(k+1)-1, the last all longer ones too.
struct CorpusSummary {
  static constexpr size_t kBuckets = 20;
  int64_t bytes = 0;                                              // of sentences as text
  int64_t documents = 0, sentences = 0, tokens = 0, unknown = 0;  // unknown: tokens that are [UNK]
  std::array<int64_t, kBuckets> sentence_lengths{}, document_lengths{};
  CorpusCounts read{};     // what the reader gave and left out
  int64_t duplicates = 0;  // documents that were left out as equal to one before

  void add(const TokenizedDocument& document, int64_t bytes_of_text, int32_t unk_id);
  CorpusSummary& operator+=(const CorpusSummary& other);
  bool operator==(const CorpusSummary&) const = default;
};

// {"bytes", "documents", "sentences", "tokens", "unknown", "sentence_lengths": [...], "document_lengths": [...], "documents_read",
// "left_out": {"duplicates", "empty", "short", "other_script", "redirects", "other_namespaces", "malformed"}} and back; throws kCorrupt,
// `where` begins the message.
std::string to_json(const CorpusSummary& summary);
CorpusSummary corpus_summary_from_json(const std::string& text, const std::string& where);
// Some lines for people.
std::string describe(const CorpusSummary& summary);

}  // namespace mpibert
