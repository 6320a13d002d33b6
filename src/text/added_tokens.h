#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/basic_tokenizer.h"

namespace mpibert {

// A part of a list of characters: an added token, or text between them (id -1).
struct TextSegment {
  int32_t id = -1;
  Run run;
};

// Tokens that are looked for in the text before it is split into words, as AddedVocabulary of the tokenizers crate does it: those with
// normalized = false in the text as it stands, the others, in their normalised form, in normalised text. From the left, the longest first,
// and of equal normalised forms the one added first. A token that single_word or match_special_tokens forbids still hides what overlaps it.
class AddedTokens {
 public:
  struct Numbered {
    AddedToken token;
    int32_t id = 0;
  };
  // Throws kInvalidArgument for a token that is empty, not UTF-8, or nothing once normalised.
  AddedTokens(const std::vector<Numbered>& tokens, const BasicTokenizer& normaliser, bool match_special_tokens);

  // Whether any raw token's bytes occur at all: the common answer no spares looking closer.
  bool occur_in(std::string_view text) const;
  bool any_normalized() const { return !normalized_.by_first.empty(); }

  std::vector<TextSegment> split_raw(const Characters& text) const { return split(raw_, text); }
  std::vector<TextSegment> split_normalized(const Characters& text) const { return split(normalized_, text); }

 private:
  struct Pattern {
    std::u32string content;
    AddedToken token;
    int32_t id = 0;
  };
  struct Patterns {
    std::unordered_map<char32_t, std::vector<Pattern>> by_first;  // longest first
    void add(Pattern pattern);
    const Pattern* match(const Characters& text, size_t at) const;
  };
  std::vector<TextSegment> split(const Patterns& patterns, const Characters& text) const;

  Patterns raw_, normalized_;
  bool match_special_tokens_;
  std::vector<std::string> raw_contents_;
  std::array<bool, 256> starts_raw_{};  // by first byte
  bool one_start_ = false;              // all begin with the same byte
};

}  // namespace mpibert
