#include "text/unicode.h"

#include <utf8proc.h>

#include <cstring>
#include <unordered_map>

#include "mpibert/base/error.h"
#include "text/unicode_tables.h"

namespace mpibert::unicode {

namespace {

constexpr CodePointRange kWhiteSpace[] = {{0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
                                          {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

// The fifth begins at 2B820 in Google's code; in the crate at 2B920, so 256 ideographs get no white space (its pull request 2395).
constexpr CodePointRange kChinese[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                                       {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};

constexpr uint32_t kFirstSyllable = 0xAC00, kLastSyllable = 0xD7A3;

PropertyTable::Decomposition canonical_decomposition(char32_t c) {
  PropertyTable::Decomposition result{};
  std::array<utf8proc_int32_t, 8> buffer{};
  const utf8proc_ssize_t length =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), buffer.data(), buffer.size(), UTF8PROC_DECOMPOSE, nullptr);
  MPIBERT_ASSERT(length >= 1 && length <= static_cast<utf8proc_ssize_t>(result.size()));
  for (size_t i = 0; i < static_cast<size_t>(length); ++i) result[i] = static_cast<char32_t>(buffer[i]);
  return result;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const Decoded decoded = decode(at, end);
    // U+FFFD written as itself is three bytes beginning EF; an ill-formed subpart never is.
    if (decoded.value == kReplacement && !(decoded.bytes == 3 && static_cast<uint8_t>(*at) == 0xEF)) return false;
    at += decoded.bytes;
  }
  return true;
}

std::u32string to_utf32(std::string_view text) {
  std::u32string result;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const Decoded decoded = decode(at, end);
    result.push_back(decoded.value);
    at += decoded.bytes;
  }
  return result;
}

const PropertyTable& PropertyTable::instance() {
  static const PropertyTable table;
  return table;
}

PropertyTable::PropertyTable() {
  std::vector<Properties> all(0x110000);
  const auto mark = [&](std::span<const CodePointRange> ranges, Flag flag) {
    for (const CodePointRange& range : ranges)
      for (uint32_t c = range.first; c <= range.last; ++c) all[c].flags |= flag;
  };
  mark({kRemoved, kRemovedCount}, kIsRemoved);
  mark({kMarks, kMarksCount}, kIsMark);
  mark({kPunctuation, kPunctuationCount}, kIsPunctuation);
  mark({kWord, kWordCount}, kIsWord);
  mark({kDecomposed, kDecomposedCount}, kIsDecomposed);
  mark(kWhiteSpace, kIsSpace);
  mark(kChinese, kIsChinese);
  for (const CodePointRange& range : kWhiteSpace)  // what was removed before cannot become white space
    for (uint32_t c = range.first; c <= range.last; ++c)
      if (!all[c].is(kIsRemoved)) all[c].flags |= kIsCleanSpace;
  for (const CodePointRange& range : std::span(kCombining, kCombiningCount))
    for (uint32_t c = range.first; c <= range.last; ++c)
      all[c].combining_class = static_cast<uint8_t>(utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class);
  for (const LowerRange& range : std::span(kLower, kLowerCount))
    for (uint32_t c = range.first; c <= range.last; c += range.stride) all[c].lower_delta = range.delta;
  decompositions_.emplace_back();
  for (const CodePointRange& range : std::span(kDecomposed, kDecomposedCount)) {
    if (range.first == kFirstSyllable) continue;
    for (uint32_t c = range.first; c <= range.last; ++c) {
      all[c].decomposition = static_cast<uint16_t>(decompositions_.size());
      decompositions_.push_back(canonical_decomposition(c));
    }
  }

  std::unordered_map<std::string_view, uint16_t> known;  // block bytes -> its place; the views point into `all`
  for (size_t i = 0; i < block_of_.size(); ++i) {
    const std::string_view bytes(reinterpret_cast<const char*>(&all[i << 8]), sizeof(Block));
    const auto [entry, is_new] = known.emplace(bytes, static_cast<uint16_t>(blocks_.size()));
    if (is_new) std::memcpy(&blocks_.emplace_back(), bytes.data(), sizeof(Block));
    block_of_[i] = entry->second;
  }
}

PropertyTable::Decomposition PropertyTable::decomposition(char32_t c) const {
  if (c < kFirstSyllable || c > kLastSyllable) return decompositions_[(*this)[c].decomposition];
  constexpr uint32_t kTrailing = 28, kVowelTrailing = 21 * 28;  // Unicode Standard 3.12, Hangul syllable decomposition
  const uint32_t syllable = c - kFirstSyllable, trailing = syllable % kTrailing;
  return {0x1100 + syllable / kVowelTrailing, 0x1161 + syllable % kVowelTrailing / kTrailing, trailing ? 0x11A7 + trailing : 0, 0};
}

}  // namespace mpibert::unicode
