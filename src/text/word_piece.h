#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mpibert/text/vocabulary.h"
#include "text/byte_trie.h"

namespace mpibert {

// A token of a word, and which bytes of the word it covers.
struct TokenPiece {
  int32_t id = 0;
  int32_t begin = 0, end = 0;
};

// Longest match first over a vocabulary: the first piece of a word is a token, the others tokens that begin with "##". A word of more than
// max_input_chars_per_word characters, or one that cannot be covered so, is [UNK] as a whole.
// The tokens are a trie over bytes, which finds the same pieces as one over characters since words and tokens are well-formed UTF-8. A word
// with '#' is that character alone, as all punctuation is, so tokens that begin with "##" are never the first piece.
class WordPiece {
 public:
  WordPiece(const Vocabulary& vocabulary, int64_t max_input_chars_per_word);

  void split(std::string_view word, std::vector<TokenPiece>& pieces) const;  // appends

 private:
  ByteTrie trie_;
  ByteTrie::Root first_pieces_, later_pieces_;
  int32_t unk_id_;
  int64_t max_characters_;
};

}  // namespace mpibert
