#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5.h"
#include "mpibert/data/schema.h"

// The names of include/mpibert/data/shard.h, shared by writer and reader.
namespace mpibert::shard_format {

inline const std::string kFormat = "mpibert-shard", kLayoutFlat = "flat";
inline constexpr int64_t kVersion = 1;
inline constexpr int64_t kNarrowVocabulary = 65536;  // ids of a vocabulary up to this are stored as uint16
inline const std::string kOffsets = "offsets", kInputIds = "input_ids", kTokenTypeIds = "token_type_ids",
                         kPredictionOffsets = "prediction_offsets";
inline const std::string kMaskedPositions = "masked_lm_positions", kMaskedIds = "masked_lm_ids";

inline hdf5::Type id_type(int64_t vocabulary_size) {
  return vocabulary_size <= kNarrowVocabulary ? hdf5::Type::kUInt16 : hdf5::Type::kInt32;
}
inline hdf5::Type label_type(const Field& field) { return field.dtype == DType::kFloat32 ? hdf5::Type::kFloat32 : hdf5::Type::kInt32; }
bool has_predictions(const Schema& labels);
// Whether these can be the choice_lengths of a sample of so many tokens.
bool are_choice_lengths(const std::vector<int32_t>& lengths, int64_t tokens);

// "labels:int32:sequence ..." and back; `where` begins the message of kCorrupt.
std::string schema_text(const Schema& labels);
Schema schema_from_text(const std::string& text, const std::string& where);

}  // namespace mpibert::shard_format
