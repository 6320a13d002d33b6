#include <algorithm>
#include <array>

#include "mpibert/text/tokenizer.h"

namespace mpibert {

namespace {

struct Replacement {
  std::string_view from, to;
};

// In this order: cleanup() of the WordPiece decoder of the tokenizers crate, of one token and the space before it, and
// clean_up_tokenization() of transformers, of the whole text.
constexpr std::array<Replacement, 11> kOfToken = {{{" .", "."},
                                                   {" ?", "?"},
                                                   {" !", "!"},
                                                   {" ,", ","},
                                                   {" ' ", "'"},
                                                   {" n't", "n't"},
                                                   {" 'm", "'m"},
                                                   {" do not", " don't"},
                                                   {" 's", "'s"},
                                                   {" 've", "'ve"},
                                                   {" 're", "'re"}}};
constexpr std::array<Replacement, 10> kOfText = {{{" .", "."},
                                                  {" ?", "?"},
                                                  {" !", "!"},
                                                  {" ,", ","},
                                                  {" ' ", "'"},
                                                  {" n't", "n't"},
                                                  {" 'm", "'m"},
                                                  {" 's", "'s"},
                                                  {" 've", "'ve"},
                                                  {" 're", "'re"}}};

void replace_all(std::string& text, std::span<const Replacement> replacements) {
  for (const auto& [from, to] : replacements)
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

bool is_special(std::string_view token, const TokenizerOptions& options) {
  for (const AddedToken& added : options.added_tokens)
    if (added.content == token) return added.special;
  constexpr std::array<std::string_view, 5> kSpecial = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
  return std::ranges::find(kSpecial, token) != kSpecial.end();
}

}  // namespace

std::string join_pieces(std::span<const std::string> pieces) {
  std::string text;
  for (size_t i = 0; i < pieces.size(); ++i) {
    std::string part = i == 0 ? pieces[i] : pieces[i].starts_with("##") ? pieces[i].substr(2) : " " + pieces[i];
    replace_all(part, kOfToken);
    text += part;
  }
  return text;
}

std::string BertTokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> pieces;
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocabulary().size()) continue;
    const std::string& token = vocabulary().token(id);
    if (!skip_special_tokens || !is_special(token, options())) pieces.push_back(token);
  }
  std::string text = join_pieces(pieces);
  if (options().clean_up_tokenization_spaces) replace_all(text, kOfText);
  return text;
}

}  // namespace mpibert
