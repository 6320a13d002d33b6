#pragma once

#include <string_view>
#include <vector>

#include "text/basic_tokenizer.h"
#include "text/placed_token.h"
#include "text/word_piece.h"

namespace mpibert {

// The tokens of a part of text, as BasicTokenizer and WordPiece make them of it, in one pass. Only text in which canonical ordering may
// move a character that stays takes BasicTokenizer's several: a mark of no class that is stripped, as some scripts have them.
class WordEncoder {
 public:
  WordEncoder(const BasicTokenizer& basic, const WordPiece& word_piece) : basic_(basic), word_piece_(word_piece) {}

  // Replaces `tokens`, with places and words from the start of the part on; returns how many characters it has.
  int32_t encode(std::string_view part, std::vector<PlacedToken>& tokens) const;

 private:
  void encode_ascii_word(std::string_view word, std::vector<PlacedToken>& tokens) const;
  void encode_in_passes(std::string_view part, std::vector<PlacedToken>& tokens) const;

  const BasicTokenizer& basic_;
  const WordPiece& word_piece_;
};

}  // namespace mpibert
