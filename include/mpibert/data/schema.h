#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpibert/base/dtype.h"

namespace mpibert {

// What one value of a field belongs to: a token, a sequence, or a prediction (a masked position, of which a sequence has any number).
enum class Per : uint8_t { kToken, kSequence, kPrediction };

// The field's own names: "input_ids", "token_type_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels", "labels".
struct Field {
  std::string name;
  DType dtype = DType::kInt32;  // kInt32, or kFloat32 for the labels of a regression
  Per per = Per::kToken;
  bool operator==(const Field&) const = default;
};
using Schema = std::vector<Field>;

// One sequence as stored. Floats travel as the bits of an int32, so that every label is one kind of number.
struct Sample {
  int64_t id = 0;  // row in the whole data set; a pure function of the input, not of the ranks that made it
  std::vector<int32_t> input_ids, token_type_ids;
  std::vector<std::pair<std::string, std::vector<int32_t>>> labels;  // by name, in the order of the schema

  const std::vector<int32_t>& label(std::string_view name) const;  // throws kInvalidArgument naming those there are
  bool operator==(const Sample&) const = default;
};

}  // namespace mpibert
