#include "data/shard_format.h"

#include <algorithm>
#include <array>
#include <sstream>

namespace mpibert::shard_format {

namespace {

constexpr std::array<const char*, 3> kPerNames = {"token", "sequence", "prediction"};  // by the value of Per

Field field_from_text(const std::string& word, const std::string& where) {
  const size_t first = word.find(':'), second = word.find(':', first + 1);
  MPIBERT_CHECK(first != std::string::npos && second != std::string::npos && first > 0, kCorrupt, where, ": label '", word,
                "' is not name:type:per");
  const std::string type = word.substr(first + 1, second - first - 1), per = word.substr(second + 1);
  const auto known = std::find(kPerNames.begin(), kPerNames.end(), per);
  MPIBERT_CHECK((type == "int32" || type == "fp32") && known != kPerNames.end(), kCorrupt, where, ": label '", word,
                "' does not have type int32 or fp32 per token, sequence or prediction");
  return {.name = word.substr(0, first),
          .dtype = type == "fp32" ? DType::kFloat32 : DType::kInt32,
          .per = static_cast<Per>(known - kPerNames.begin())};
}

}  // namespace

bool has_predictions(const Schema& labels) {
  return std::any_of(labels.begin(), labels.end(), [](const Field& f) { return f.per == Per::kPrediction; });
}

bool are_choice_lengths(const std::vector<int32_t>& lengths, int64_t tokens) {
  int64_t sum = 0;
  for (const int32_t length : lengths) {
    if (length <= 0) return false;
    sum += length;
  }
  return sum == tokens;
}

std::string schema_text(const Schema& labels) {
  std::string text;
  for (const Field& field : labels)
    text += str_cat(text.empty() ? "" : " ", field.name, ":", name_of(field.dtype), ":", kPerNames[static_cast<size_t>(field.per)]);
  return text;
}

Schema schema_from_text(const std::string& text, const std::string& where) {
  Schema labels;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    Field field = field_from_text(word, where);
    const bool taken = field.name == kOffsets || field.name == kInputIds || field.name == kTokenTypeIds ||
                       field.name == kPredictionOffsets ||
                       std::any_of(labels.begin(), labels.end(), [&](const Field& f) { return f.name == field.name; });
    MPIBERT_CHECK(!taken, kCorrupt, where, ": label '", field.name, "' has a name that is taken");
    labels.push_back(std::move(field));
  }
  return labels;
}

}  // namespace mpibert::shard_format
