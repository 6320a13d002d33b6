#include "mpibert/tasks/token_features.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

// Words begin .. end-1.
struct Window {
  size_t begin = 0, end = 0;
};

using Pieces = std::vector<std::vector<int32_t>>;

Pieces pieces_of(const BertTokenizer& tokenizer, std::span<const std::string> words, size_t room) {
  Pieces pieces;
  for (const std::string& word : words) {
    std::vector<int32_t>& ids = pieces.emplace_back(tokenizer.ids(word));
    if (ids.empty()) ids.push_back(tokenizer.vocabulary().unk_id());
    ids.resize(std::min(ids.size(), room));
  }
  return pieces;
}

// Each begins with the words that fill the last quarter of the one before it, but at least one word later.
std::vector<Window> windows_of(const Pieces& pieces, size_t room) {
  std::vector<Window> windows;
  for (size_t begin = 0;;) {
    size_t end = begin, tokens = 0;
    while (end < pieces.size() && tokens + pieces[end].size() <= room) tokens += pieces[end++].size();
    windows.push_back({begin, end});
    if (end == pieces.size()) return windows;
    size_t next = end, shared = 0;
    while (next > begin + 1 && shared + pieces[next - 1].size() <= room / 4) shared += pieces[--next].size();
    begin = next;
  }
}

// The window that decides each word: the one where it has most tokens on its shorter side, of equal ones the first.
std::vector<size_t> owners_of(const Pieces& pieces, const std::vector<Window>& windows) {
  std::vector<size_t> before = {0};  // tokens before each word
  for (const auto& ids : pieces) before.push_back(before.back() + ids.size());
  std::vector<size_t> owners(pieces.size()), most(pieces.size());
  std::vector<bool> owned(pieces.size());
  for (size_t w = 0; w < windows.size(); ++w)
    for (size_t i = windows[w].begin; i < windows[w].end; ++i) {
      const size_t context = std::min(before[i] - before[windows[w].begin], before[windows[w].end] - before[i + 1]);
      if (owned[i] && context <= most[i]) continue;
      owners[i] = w;
      most[i] = context;
      owned[i] = true;
    }
  return owners;
}

}  // namespace

std::vector<TokenFeature> token_features(const BertTokenizer& tokenizer, std::span<const std::string> words, int64_t max_seq_length) {
  MPIBERT_CHECK(max_seq_length >= 3, kInvalidArgument, "max_seq_length ", max_seq_length,
                " leaves no room for a word between [CLS] and [SEP]");
  const auto room = static_cast<size_t>(max_seq_length - 2);
  const Pieces pieces = pieces_of(tokenizer, words, room);
  const std::vector<Window> windows = windows_of(pieces, room);
  const std::vector<size_t> owners = owners_of(pieces, windows);
  std::vector<TokenFeature> features;
  for (size_t w = 0; w < windows.size(); ++w) {
    TokenFeature& feature = features.emplace_back();
    feature.input_ids = {tokenizer.vocabulary().cls_id()};
    feature.words = {-1};
    for (size_t i = windows[w].begin; i < windows[w].end; ++i) {
      feature.words.push_back(owners[i] == w ? static_cast<int32_t>(i) : -1);
      feature.input_ids.insert(feature.input_ids.end(), pieces[i].begin(), pieces[i].end());
      feature.words.resize(feature.input_ids.size(), -1);
    }
    feature.input_ids.push_back(tokenizer.vocabulary().sep_id());
    feature.words.push_back(-1);
  }
  return features;
}

}  // namespace mpibert
