#pragma once

#include <string>
#include <vector>

#include "text/basic_tokenizer.h"
#include "text/placed_token.h"
#include "text/unicode.h"
#include "text/word_piece.h"

namespace mpibert {

// Tokens of words that come character by character, appended. One at a time in a thread, whose memory it uses.
class WordBuilder {
 public:
  // `word` is the number of the first word.
  WordBuilder(const WordPiece& word_piece, int32_t word, std::vector<PlacedToken>& tokens);

  // A normalised character of the word, and the places in the text that it came from.
  void push(char32_t value, Span characters, Span bytes) {
    unicode::append_utf8(value, memory_.utf8);
    memory_.places.push_back({characters, bytes});
  }
  void end_word() {  // nothing is no word
    if (!memory_.places.empty()) append_tokens();
  }
  int32_t next_word() const { return word_; }

 private:
  struct CharacterPlace {
    Span characters, bytes;
  };
  struct Memory {
    std::string utf8;
    std::vector<CharacterPlace> places;
    std::vector<TokenPiece> pieces;
  };
  static Memory& thread_memory();
  void append_tokens();

  const WordPiece& word_piece_;
  int32_t word_;
  std::vector<PlacedToken>& tokens_;
  Memory& memory_;
};

// The words of normalised characters. `word` is the number of the next one.
void append_words(const BasicTokenizer& basic, const WordPiece& word_piece, const Characters& text, Run run, int32_t& word,
                  std::vector<PlacedToken>& tokens);

}  // namespace mpibert
