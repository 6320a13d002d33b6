#pragma once

#include <string_view>
#include <vector>

#include "text/basic_tokenizer.h"
#include "text/placed_token.h"
#include "text/word_piece.h"

namespace mpibert {

// The words of normalised characters `run` and their tokens, appended. `word` is the number of the next word.
void append_words(const BasicTokenizer& basic, const WordPiece& word_piece, const Characters& text, Run run, int32_t& word, std::vector<PlacedToken>& tokens);

// The tokens of a short part of text, as BasicTokenizer and WordPiece make them, but in one pass wherever no character changes its place: a letter, or
// a decomposition of which but one kind of characters stays, those that canonical ordering never moves.
class WordEncoder {
 public:
  WordEncoder(const BasicTokenizer& basic, const WordPiece& word_piece, const TokenizerOptions& options);

  // Replaces `tokens`, with places and words from the start of the part on; returns how many characters it has.
  int32_t encode(std::string_view part, std::vector<PlacedToken>& tokens) const;

 private:
  void encode_plain(std::string_view word, std::vector<PlacedToken>& tokens) const;

  const BasicTokenizer& basic_;
  const WordPiece& word_piece_;
  bool clean_text_, tokenize_chinese_chars_, strip_accents_, do_lower_case_;
};

}  // namespace mpibert
