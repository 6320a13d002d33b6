#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpibert/base/dtype.h"

namespace mpibert {

// What one value of a field belongs to: a token, a sequence (in a file a sample, of whatever sequences), or a prediction (a masked
// position, or a choice: a sample has any number of them).
enum class Per : uint8_t { kToken, kSequence, kPrediction };

// The field's own names: "input_ids", "token_type_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels", "labels",
// "choice_lengths".
struct Field {
  std::string name;
  DType dtype = DType::kInt32;  // kInt32, or kFloat32 for the labels of a regression
  Per per = Per::kToken;
  bool operator==(const Field&) const = default;
};
using Schema = std::vector<Field>;

// Of a multiple choice: a sample has n sequences, end to end, and this label per prediction says how many tokens each has. n is the same in
// all samples of a data set.
inline constexpr const char* kChoiceLengths = "choice_lengths";

// One sequence as stored, or the sequences of a multiple choice. Floats travel as the bits of an int32, so that every label is one kind of
// number.
struct Sample {
  int64_t id = 0;  // row in the whole data set; a pure function of the input, not of the ranks that made it
  std::vector<int32_t> input_ids, token_type_ids;
  std::vector<std::pair<std::string, std::vector<int32_t>>> labels;  // by name, in the order of the schema

  const std::vector<int32_t>& label(std::string_view name) const;  // throws kInvalidArgument naming those there are
  bool operator==(const Sample&) const = default;
};

bool has_field(const Schema& schema, std::string_view name);

}  // namespace mpibert
