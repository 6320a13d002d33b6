#pragma once

#include <string_view>
#include <vector>

#include "mpibert/text/tokenizer.h"

namespace mpibert {

// A character and the places in the text that it came from. What normalisation puts in takes the places of the character before it.
struct Character {
  char32_t value = 0;
  Span bytes, characters;
};
using Characters = std::vector<Character>;

// A run of characters, [begin, end) of a list.
struct Run {
  size_t begin = 0, end = 0;
};

// The characters of a text as they stand. `place` is where the text begins in the whole text, in bytes and characters.
struct Place {
  int32_t byte = 0, character = 0;
};
void decode_text(std::string_view text, Place place, Characters& out);

// What of it is done.
struct NormalisationRules {
  explicit NormalisationRules(const TokenizerOptions& options)
      : clean_text(options.clean_text),
        tokenize_chinese_chars(options.tokenize_chinese_chars),
        strip_accents(options.strip_accents.value_or(options.do_lower_case)),
        do_lower_case(options.do_lower_case) {}
  bool clean_text, tokenize_chinese_chars, strip_accents, do_lower_case;
};

// Normalisation and splitting into words; the rules of BertNormalizer and BertPreTokenizer of the tokenizers crate 0.22.2, in its order:
// clean, space Chinese characters, NFD and strip marks, lower. Thread-safe.
class BasicTokenizer {
 public:
  explicit BasicTokenizer(const TokenizerOptions& options) : rules_(options) {}
  const NormalisationRules& rules() const { return rules_; }

  // In place, of one piece of text between added tokens.
  void normalise(Characters& text) const;
  // The words of normalised characters: between white space; every punctuation character is a word. Appends.
  void split(const Characters& text, Run part, std::vector<Run>& words) const;

 private:
  void clean(Characters& text) const;
  void space_chinese(Characters& text) const;
  void strip_accents(Characters& text) const;
  void lower(Characters& text) const;
  NormalisationRules rules_;
};

}  // namespace mpibert
