#include "data/foreign/sample_parts.h"

#include <algorithm>

#include "data/shard_format.h"
#include "mpibert/base/error.h"
#include "mpibert/data/masking.h"
#include "mpibert/data/sample_plan.h"

namespace mpibert {

using shard_format::kInputIds;
using shard_format::kMaskedIds;
using shard_format::kMaskedPositions;

namespace {

void check_below(std::span<const int32_t> values, int64_t limit, std::string_view name, const char* remedy, const std::string& where) {
  for (size_t i = 0; i < values.size(); ++i)
    MPIBERT_CHECK(values[i] >= 0 && values[i] < limit, kCorrupt, where, ": ", name, "[", i, "] = ", values[i], ", expected 0 to ",
                  limit - 1, remedy);
}

}  // namespace

Schema foreign_labels() {
  Schema labels = masked_lm_labels();
  for (Field& field : sentence_pair_labels()) labels.push_back(std::move(field));
  return labels;
}

Sample make_sample(const SampleParts& parts, int64_t vocabulary_size, const std::string& where) {
  constexpr const char* kVocabularyRemedy = "; give the vocabulary that the file was made with";
  MPIBERT_CHECK(!parts.input_ids.empty(), kCorrupt, where, ": no token; expected at least one");
  MPIBERT_CHECK(parts.segment_ids.size() == parts.input_ids.size(), kCorrupt, where, ": ", parts.segment_ids.size(), " ", kSegmentIds,
                " for ", parts.input_ids.size(), " ", kInputIds);
  MPIBERT_CHECK(parts.masked_lm_ids.size() == parts.masked_lm_positions.size(), kCorrupt, where, ": ", parts.masked_lm_ids.size(), " ",
                kMaskedIds, " for ", parts.masked_lm_positions.size(), " ", kMaskedPositions);
  check_below(parts.input_ids, vocabulary_size, kInputIds, kVocabularyRemedy, where);
  check_below(parts.segment_ids, 2, kSegmentIds, "", where);
  check_below(parts.masked_lm_positions, static_cast<int64_t>(parts.input_ids.size()), kMaskedPositions, "", where);
  check_below(parts.masked_lm_ids, vocabulary_size, kMaskedIds, kVocabularyRemedy, where);
  check_below(std::span(&parts.next_sentence_label, 1), 2, kNextSentence, "", where);
  for (size_t i = 1; i < parts.masked_lm_positions.size(); ++i)
    MPIBERT_CHECK(parts.masked_lm_positions[i] > parts.masked_lm_positions[i - 1], kCorrupt, where, ": ", kMaskedPositions, "[", i,
                  "] = ", parts.masked_lm_positions[i], " does not ascend from ", parts.masked_lm_positions[i - 1]);
  const auto copy = [](std::span<const int32_t> from) { return std::vector<int32_t>(from.begin(), from.end()); };
  return {.input_ids = copy(parts.input_ids),
          .token_type_ids = copy(parts.segment_ids),
          .labels = {{kMaskedPositions, copy(parts.masked_lm_positions)},
                     {kMaskedIds, copy(parts.masked_lm_ids)},
                     {kNextSentence, {parts.next_sentence_label}}}};
}

SampleParts parts_of(const Sample& sample) {
  const auto find = [&](std::string_view wanted, const char* remedy) -> std::span<const int32_t> {
    for (const auto& [name, values] : sample.labels)
      if (name == wanted) return values;
    throw Error(ErrorKind::kInvalidArgument,
                str_cat("sample ", sample.id, " has no ", wanted, ", which this format needs; prepare the data ", remedy));
  };
  return {.input_ids = sample.input_ids,
          .segment_ids = sample.token_type_ids,
          .masked_lm_positions = find(kMaskedPositions, "with --storage samples --masking static"),
          .masked_lm_ids = find(kMaskedIds, "with --storage samples --masking static"),
          .next_sentence_label = find(kNextSentence, "for the task pretraining, with sentence pairs")[0]};
}

void check_widths(const SampleParts& parts, RowWidths widths, const std::string& what) {
  MPIBERT_CHECK(static_cast<int64_t>(parts.input_ids.size()) <= widths.max_seq_length, kInvalidArgument, what, " has ",
                parts.input_ids.size(), " tokens, rows have ", widths.max_seq_length, "; give a larger --max-seq-length");
  MPIBERT_CHECK(static_cast<int64_t>(parts.masked_lm_positions.size()) <= widths.max_predictions_per_seq, kInvalidArgument, what, " has ",
                parts.masked_lm_positions.size(), " predictions, rows have ", widths.max_predictions_per_seq,
                "; give a larger --max-predictions-per-seq");
}

size_t tokens_of_mask(std::span<const int32_t> input_mask, const std::string& where) {
  const auto end = std::find(input_mask.begin(), input_mask.end(), 0);
  for (size_t i = 0; i < input_mask.size(); ++i) {
    const int32_t expected = input_mask.begin() + static_cast<ptrdiff_t>(i) < end ? 1 : 0;
    MPIBERT_CHECK(input_mask[i] == expected, kCorrupt, where, ": ", kInputMask, "[", i, "] = ", input_mask[i], ", expected ", expected,
                  "; ones and then zeros");
  }
  return static_cast<size_t>(end - input_mask.begin());
}

}  // namespace mpibert
