#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace mpibert {

// A text counted in characters (Unicode scalars), as Python counts a str. Refers to the text. Ill-formed UTF-8 counts as the tokenizer
// reads it.
class CharacterIndex {
 public:
  explicit CharacterIndex(std::string_view text);
  int64_t size() const { return static_cast<int64_t>(begins_.size()) - 1; }
  std::string_view text(int64_t begin, int64_t end) const;   // characters begin .. end-1
  std::optional<int64_t> find(std::string_view part) const;  // where it begins first

 private:
  std::string_view text_;
  std::vector<int32_t> begins_;  // bytes, and the end
};

int64_t character_count(std::string_view text);

}  // namespace mpibert
