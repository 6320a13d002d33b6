#include "tasks/character_index.h"

#include <algorithm>

#include "text/unicode.h"

namespace mpibert {

CharacterIndex::CharacterIndex(std::string_view text) : text_(text) {
  const char* const end = text.data() + text.size();
  begins_.reserve(text.size() + 1);
  for (const char* at = text.data(); at < end; at += unicode::decode(at, end).bytes)
    begins_.push_back(static_cast<int32_t>(at - text.data()));
  begins_.push_back(static_cast<int32_t>(text.size()));
}

std::string_view CharacterIndex::text(int64_t begin, int64_t end) const {
  const auto first = static_cast<size_t>(begins_[static_cast<size_t>(begin)]),
             last = static_cast<size_t>(begins_[static_cast<size_t>(end)]);
  return text_.substr(first, last - first);
}

std::optional<int64_t> CharacterIndex::find(std::string_view part) const {
  const size_t byte = text_.find(part);
  if (byte == std::string_view::npos) return std::nullopt;
  return std::lower_bound(begins_.begin(), begins_.end(), static_cast<int32_t>(byte)) - begins_.begin();
}

int64_t character_count(std::string_view text) { return CharacterIndex(text).size(); }

}  // namespace mpibert
