#include "text/word_piece.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr std::string_view kContinuation = "##";

int64_t characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
}

}  // namespace

WordPiece::WordPiece(const Vocabulary& vocabulary, int64_t max_input_chars_per_word)
    : unk_id_(vocabulary.unk_id()), max_characters_(max_input_chars_per_word) {
  MPIBERT_CHECK(unk_id_ >= 0, kInvalidArgument, "the vocabulary has no [UNK], which stands for a word that cannot be covered");
  std::vector<ByteTrie::Entry> first, later;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const std::string_view token = vocabulary.token(id);
    if (token.empty() || token == kContinuation || vocabulary.id(token) != id) continue;  // of equal tokens the last counts
    if (token.starts_with(kContinuation)) later.push_back({token.substr(kContinuation.size()), id});
    else first.push_back({token, id});
  }
  first_pieces_ = trie_.add(std::move(first));
  later_pieces_ = trie_.add(std::move(later));
}

void WordPiece::split(std::string_view word, std::vector<TokenPiece>& pieces) const {
  const size_t before = pieces.size();
  bool is_covered = static_cast<int64_t>(word.size()) <= max_characters_ || characters(word) <= max_characters_;
  for (size_t begin = 0; is_covered && begin < word.size();) {
    int32_t id = -1;
    const size_t length = trie_.longest(begin == 0 ? first_pieces_ : later_pieces_, word.substr(begin), id);
    pieces.push_back({id, static_cast<int32_t>(begin), static_cast<int32_t>(begin + length)});
    is_covered = length > 0;
    begin += length;
  }
  if (is_covered) return;
  pieces.resize(before);
  pieces.push_back({unk_id_, 0, static_cast<int32_t>(word.size())});
}

}  // namespace mpibert
