#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "mpibert/data/foreign.h"

namespace mpibert {

inline constexpr const char* kSegmentIds = "segment_ids";
inline constexpr const char* kInputMask = "input_mask";
inline constexpr const char* kNextSentence = "next_sentence_labels";

// A sample as a file of another program holds it, without padding.
struct SampleParts {
  std::span<const int32_t> input_ids{}, segment_ids{}, masked_lm_positions{}, masked_lm_ids{};
  int32_t next_sentence_label = 0;
};

// Checks the parts and copies them. `where` names file and row in messages. Throws kCorrupt.
Sample make_sample(const SampleParts& parts, int64_t vocabulary_size, const std::string& where);

// The parts of a sample of ours; throws kInvalidArgument, saying what to do, if it has no masks or no next-sentence label.
SampleParts parts_of(const Sample& sample);

// Throws kInvalidArgument for more tokens or predictions than these. `what` names the sample.
void check_widths(const SampleParts& parts, RowWidths widths, const std::string& what);

// Tokens of a padded row: the ones of input_mask, behind which there are only zeros. Throws kCorrupt.
size_t tokens_of_mask(std::span<const int32_t> input_mask, const std::string& where);

}  // namespace mpibert
