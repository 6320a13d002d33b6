#pragma once

#include <string>

// The names of include/mpibert/data/token_shard.h, shared by writer and reader.
namespace mpibert::token_format {

inline const std::string kFormat = "mpibert-tokens";
inline constexpr int64_t kVersion = 1;
inline constexpr int64_t kBlockBytes = int64_t{64} << 10;
inline const std::string kDocumentOffsets = "document_offsets", kSentenceOffsets = "sentence_offsets", kInputIds = "input_ids",
                         kBlockChecksums = "block_crc32c";

}  // namespace mpibert::token_format
