#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What the tokenizer asks of characters (Unicode scalar values), with the answers of the tokenizers crate 0.22.2, which mixes Unicode 8
// (categories), 9 (decompositions, combining classes), 16 (\w) and 17 (lower case). Tables: generate_unicode_tables.py. Decompositions and
// combining classes come from utf8proc, which Unicode's stability policy keeps equal for the characters that Unicode 9 had; the tables say
// which those are.
namespace mpibert::unicode {

inline constexpr char32_t kReplacement = 0xFFFD;
inline constexpr char32_t kDottedI = 0x130, kDotAbove = 0x307;  // the only character whose lower case is two: i and the dot

// One character read from bytes. Of an ill-formed sequence it is U+FFFD for each maximal subpart, as the Unicode Standard 3.9 recommends
// and as Python's bytes.decode(errors="replace") reads it.
struct Decoded {
  char32_t value;
  int32_t bytes;
};
inline Decoded decode(const char* at, const char* end) {  // at < end
  const auto byte = [&](int i) { return static_cast<uint8_t>(at[i]); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  // The second byte's range depends on the lead (Unicode Standard, table 3-7): that keeps out overlong forms, surrogates and beyond 10FFFF.
  uint32_t low = 0x80, high = 0xBF;
  int length;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {kReplacement, 1};
  }
  char32_t value = lead & (0x7Fu >> length);
  for (int i = 1; i < length; ++i) {
    if (at + i == end || byte(i) < low || byte(i) > high) return {kReplacement, i};
    value = (value << 6) | (byte(i) & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  return {value, length};
}

bool is_valid_utf8(std::string_view text);

inline void append_utf8(char32_t c, std::string& out) {
  const auto push = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    push(c);
  } else if (c < 0x800) {
    push(0xC0 | (c >> 6));
    push(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    push(0xE0 | (c >> 12));
    push(0x80 | ((c >> 6) & 0x3F));
    push(0x80 | (c & 0x3F));
  } else {
    push(0xF0 | (c >> 18));
    push(0x80 | ((c >> 12) & 0x3F));
    push(0x80 | ((c >> 6) & 0x3F));
    push(0x80 | (c & 0x3F));
  }
}

std::u32string to_utf32(std::string_view text);

enum Flag : uint8_t {
  kIsRemoved = 1,       // by cleaning
  kIsCleanSpace = 2,    // becomes U+0020 by cleaning
  kIsChinese = 4,       // gets white space on both sides
  kIsMark = 8,          // goes away when accents are stripped
  kIsPunctuation = 16,  // is a word by itself
  kIsSpace = 32,        // White_Space
  kIsDecomposed = 64,   // has a canonical decomposition
  kIsWord = 128,        // \w
};

struct Properties {
  uint8_t flags = 0;
  uint8_t combining_class = 0;
  uint16_t decomposition = 0;  // place in the table of decompositions; 0 for Hangul, whose are computed
  int32_t lower_delta = 0;     // lower case is character + lower_delta, but for U+0130, which has two
  bool operator==(const Properties&) const = default;
  bool is(Flag flag) const { return (flags & flag) != 0; }
};

// Two levels: blocks of 256 characters, equal blocks kept once. Made at the first use, a few milliseconds.
class PropertyTable {
 public:
  static const PropertyTable& instance();
  const Properties& operator[](char32_t c) const { return blocks_[block_of_[c >> 8]][c & 0xFF]; }

  // The full canonical decomposition of a character with kIsDecomposed: up to four characters.
  using Decomposition = std::array<char32_t, 4>;  // ends at the first 0
  Decomposition decomposition(char32_t c) const;

 private:
  PropertyTable();
  using Block = std::array<Properties, 256>;
  std::array<uint16_t, 0x1100> block_of_{};
  std::vector<Block> blocks_;
  std::vector<Decomposition> decompositions_;
};

}  // namespace mpibert::unicode
