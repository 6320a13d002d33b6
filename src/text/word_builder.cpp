#include "text/word_builder.h"

#include <algorithm>

namespace mpibert {

WordBuilder::Memory& WordBuilder::thread_memory() {
  thread_local Memory memory;
  return memory;
}

WordBuilder::WordBuilder(const WordPiece& word_piece, int32_t word, std::vector<PlacedToken>& tokens)
    : word_piece_(word_piece), word_(word), tokens_(tokens), memory_(thread_memory()) {
  memory_.utf8.clear();
  memory_.places.clear();
}

void WordBuilder::append_tokens() {
  auto& [utf8, places, pieces] = memory_;
  pieces.clear();
  word_piece_.split(utf8, pieces);
  size_t begin = 0;
  for (const TokenPiece& piece : pieces) {  // from bytes of the word back to its characters
    const auto is_lead = [](char byte) { return (byte & 0xC0) != 0x80; };
    const size_t end = begin + static_cast<size_t>(std::count_if(utf8.begin() + piece.begin, utf8.begin() + piece.end, is_lead));
    const CharacterPlace &first = places[begin], &last = places[end - 1];
    tokens_.push_back({piece.id, word_, {first.characters.begin, last.characters.end}, {first.bytes.begin, last.bytes.end}});
    begin = end;
  }
  ++word_;
  utf8.clear();
  places.clear();
}

void append_words(const BasicTokenizer& basic, const WordPiece& word_piece, const Characters& text, Run run, int32_t& word,
                  std::vector<PlacedToken>& tokens) {
  std::vector<Run> words;
  basic.split(text, run, words);
  WordBuilder builder(word_piece, word, tokens);
  for (const Run& place : words) {
    for (size_t i = place.begin; i < place.end; ++i) builder.push(text[i].value, text[i].characters, text[i].bytes);
    builder.end_word();
  }
  word = builder.next_word();
}

}  // namespace mpibert
