#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mpibert/text/vocabulary.h"

namespace mpibert {

// A token of a word, and which bytes of the word it covers.
struct TokenPiece {
  int32_t id = 0;
  int32_t begin = 0, end = 0;
};

// Longest match first over a vocabulary: the first piece of a word is a token, the others tokens that begin with "##". A word of more than
// max_input_chars_per_word characters, or one that cannot be covered so, is [UNK] as a whole.
// The tokens are a trie over bytes, which finds the same pieces as one over characters since words and tokens are well-formed UTF-8. Its edges
// lie in one hash table: one probe a byte, no pointer to follow, and building is one pass over the vocabulary.
class WordPiece {
 public:
  WordPiece(const Vocabulary& vocabulary, int64_t max_input_chars_per_word);

  // Both append.
  void split(std::string_view word, std::vector<TokenPiece>& pieces) const;
  void append_ids(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct Edge {
    uint32_t key = 0;    // 1 + (node << 8 | byte); 0: empty
    uint32_t child = 0;  // node
    int32_t id = -1;     // of the token that ends here
  };
  void insert(uint32_t root, std::string_view token, int32_t id);
  const Edge* find(uint32_t node, char byte) const;
  Edge& place_of(uint32_t key);
  void grow();
  // The longest token at the start of `text`, below `root`: its length in bytes (0: none) and id.
  size_t longest(uint32_t root, std::string_view text, int32_t& id) const;
  template <class Sink>
  bool match(std::string_view word, Sink&& sink) const;

  std::vector<Edge> edges_;
  uint32_t edge_count_ = 0, node_count_ = 2;
  int32_t unk_id_;
  int64_t max_characters_;
};

}  // namespace mpibert
