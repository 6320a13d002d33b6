#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/basic_tokenizer.h"
#include "text/word_piece.h"

namespace mpibert {

// Ids of text without added tokens and without places: the fast path. The raw bytes are cut where cutting changes nothing — at ASCII white space and
// punctuation and around Chinese characters, all of which are words or gaps by themselves and start a canonical ordering anew — and the parts
// between are looked up by their bytes in a cache of this thread, then, if ASCII, lowered and matched, else sent through BasicTokenizer.
class IdScanner {
 public:
  IdScanner(const BasicTokenizer& basic, const WordPiece& word_piece, const TokenizerOptions& options);
  void append_ids(std::string_view text, std::vector<int32_t>& ids) const;  // appends

 private:
  enum Class : uint8_t { kLetter, kSpace, kPunctuation, kOther };  // kOther: control characters and what is not ASCII
  void append_word(std::string_view word, bool is_plain, size_t readable, std::vector<int32_t>& ids) const;
  void compute_word(std::string_view word, bool is_plain, std::vector<int32_t>& ids) const;
  size_t chinese_bytes(const char* at, const char* end) const;

  const BasicTokenizer& basic_;
  const WordPiece& word_piece_;
  uint32_t owner_;
  bool space_chinese_;
  std::array<uint8_t, 256> class_of_{};
  std::array<char, 128> lower_{};
  std::array<int32_t, 128> punctuation_ids_{};
};

}  // namespace mpibert
