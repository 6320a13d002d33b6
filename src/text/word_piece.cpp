#include "text/word_piece.h"

#include <algorithm>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr uint32_t kWordRoot = 0, kContinuationRoot = 1;
constexpr std::string_view kContinuation = "##";

size_t slot(uint32_t key, size_t slots) { return (key * uint64_t{0x9E3779B97F4A7C15} >> 32) & (slots - 1); }

int64_t characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
}

}  // namespace

WordPiece::WordPiece(const Vocabulary& vocabulary, int64_t max_input_chars_per_word)
    : edges_(1 << 16), unk_id_(vocabulary.unk_id()), max_characters_(max_input_chars_per_word) {
  MPIBERT_CHECK(unk_id_ >= 0, kInvalidArgument, "the vocabulary has no [UNK], which stands for a word that cannot be covered");
  for (int64_t i = 0; i < vocabulary.size(); ++i) {
    const std::string_view token = vocabulary.token(static_cast<int32_t>(i));
    if (token.empty() || token == kContinuation || vocabulary.id(token) != i) continue;  // of equal tokens the last counts
    if (token.starts_with(kContinuation)) insert(kContinuationRoot, token.substr(kContinuation.size()), static_cast<int32_t>(i));
    insert(kWordRoot, token, static_cast<int32_t>(i));
  }
}

WordPiece::Edge& WordPiece::place_of(uint32_t key) {
  size_t i = slot(key, edges_.size());
  while (edges_[i].key != 0 && edges_[i].key != key) i = (i + 1) & (edges_.size() - 1);
  return edges_[i];
}

void WordPiece::grow() {
  std::vector<Edge> old(2 * edges_.size());
  std::swap(old, edges_);
  for (const Edge& edge : old)
    if (edge.key != 0) place_of(edge.key) = edge;
}

void WordPiece::insert(uint32_t root, std::string_view token, int32_t id) {
  uint32_t node = root;
  for (size_t i = 0; i < token.size(); ++i) {
    const uint32_t key = 1 + (node << 8 | static_cast<uint8_t>(token[i]));
    Edge* edge = &place_of(key);
    if (edge->key == 0) {
      if (4 * (edge_count_ + 1) > 2 * edges_.size()) {  // at most half full
        grow();
        edge = &place_of(key);
      }
      MPIBERT_CHECK(node_count_ < (1u << 24) - 1, kInvalidArgument, "the vocabulary is too large: its tokens have more than 16,777,214 prefixes");
      *edge = {key, node_count_++, -1};
      ++edge_count_;
    }
    if (i + 1 == token.size()) edge->id = id;
    node = edge->child;
  }
}

const WordPiece::Edge* WordPiece::find(uint32_t node, char byte) const {
  const uint32_t key = 1 + (node << 8 | static_cast<uint8_t>(byte));
  for (size_t i = slot(key, edges_.size());; i = (i + 1) & (edges_.size() - 1)) {
    if (edges_[i].key == key) return &edges_[i];
    if (edges_[i].key == 0) return nullptr;
  }
}

size_t WordPiece::longest(uint32_t root, std::string_view text, int32_t& id) const {
  size_t length = 0;
  uint32_t node = root;
  for (size_t i = 0; i < text.size(); ++i) {
    const Edge* edge = find(node, text[i]);
    if (edge == nullptr) break;
    if (edge->id >= 0) {
      length = i + 1;
      id = edge->id;
    }
    node = edge->child;
  }
  return length;
}

// Gives every piece to `sink`. False if the word cannot be covered; what the sink got is then void.
template <class Sink>
bool WordPiece::match(std::string_view word, Sink&& sink) const {
  if (static_cast<int64_t>(word.size()) > max_characters_ && characters(word) > max_characters_) return false;
  for (size_t begin = 0; begin < word.size();) {
    int32_t id = -1;
    const size_t length = longest(begin == 0 ? kWordRoot : kContinuationRoot, word.substr(begin), id);
    if (length == 0) return false;
    sink(TokenPiece{id, static_cast<int32_t>(begin), static_cast<int32_t>(begin + length)});
    begin += length;
  }
  return true;
}

void WordPiece::split(std::string_view word, std::vector<TokenPiece>& pieces) const {
  const size_t before = pieces.size();
  if (match(word, [&](const TokenPiece& piece) { pieces.push_back(piece); })) return;
  pieces.resize(before);
  pieces.push_back({unk_id_, 0, static_cast<int32_t>(word.size())});
}

void WordPiece::append_ids(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t before = ids.size();
  if (match(word, [&](const TokenPiece& piece) { ids.push_back(piece.id); })) return;
  ids.resize(before);
  ids.push_back(unk_id_);
}

}  // namespace mpibert
