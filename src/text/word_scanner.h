#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/basic_tokenizer.h"
#include "text/placed_token.h"
#include "text/unicode.h"
#include "text/word_encoder.h"

namespace mpibert {

// The fast path: tokens of text without added tokens. The raw bytes are cut where cutting changes nothing: at ASCII white space and
// punctuation, found 64 bytes at a time (byte_masks.h), and around Chinese characters and other punctuation and white space, all of which
// are words or gaps by themselves and start a canonical ordering anew. The parts between are looked up by their bytes in a cache of this
// thread (word_cache.h), else computed.
class WordScanner {
 public:
  WordScanner(const BasicTokenizer& basic, const WordPiece& word_piece);

  void append_ids(std::string_view text, std::vector<int32_t>& ids) const;
  // `place` is where the text begins in the whole text, `word` the number of the next word.
  void append_tokens(std::string_view text, Place place, int32_t& word, std::vector<PlacedToken>& tokens) const;

 private:
  template <class Sink>
  void scan(std::string_view text, Sink& sink) const;
  template <class Sink>
  void cut(std::string_view text, size_t begin, size_t end, Sink& sink) const;
  template <class Sink>
  void look_up(std::string_view text, size_t begin, size_t end, Sink& sink) const;
  template <class Sink>
  void look_up_long(std::string_view text, size_t begin, size_t end, Sink& sink) const;
  bool is_cut(char32_t character) const;

  NormalisationRules rules_;
  const unicode::PropertyTable& properties_ = unicode::PropertyTable::instance();
  WordEncoder encoder_;
  uint32_t owner_;
  std::array<bool, 256> may_cut_{};  // lead bytes of characters for which is_cut() may be true
};

}  // namespace mpibert
