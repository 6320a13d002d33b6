#include "tasks/final_text.h"

#include <algorithm>

#include "text/basic_tokenizer.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

// "un ##aff ##able !" -> "unaffable !"
std::u32string spelled(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) {
    const bool continues = piece.starts_with("##");
    if (!text.empty() && !continues) text += ' ';
    text += continues ? piece.substr(2) : piece;
  }
  return unicode::to_utf32(text);
}

std::u32string tokenized(const std::string& words, const TokenizerOptions& options) {
  const BasicTokenizer tokenizer(options);
  Characters characters;
  decode_text(words, {}, characters);
  tokenizer.normalise(characters);
  std::vector<Run> runs;
  tokenizer.split(characters, {0, characters.size()}, runs);
  std::u32string text;
  for (const Run& run : runs) {
    if (!text.empty()) text += U' ';
    for (size_t i = run.begin; i < run.end; ++i) text += characters[i].value;
  }
  return text;
}

// Places of what is no blank.
std::vector<size_t> places_without_blanks(const std::u32string& text) {
  std::vector<size_t> places;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != U' ') places.push_back(i);
  return places;
}

}  // namespace

std::string join_words(std::string_view text) {
  std::u32string joined;
  bool in_word = false;
  for (const char32_t c : unicode::to_utf32(text)) {
    const bool is_space = c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x202F;
    if (!is_space && !in_word && !joined.empty()) joined += U' ';
    if (!is_space) joined += c;
    in_word = !is_space;
  }
  std::string out;
  for (const char32_t c : joined) unicode::append_utf8(c, out);
  return out;
}

std::string final_text(const std::vector<std::string>& pieces, const std::string& words, const TokenizerOptions& options) {
  const std::u32string predicted = spelled(pieces), again = tokenized(words, options), original = unicode::to_utf32(words);
  const size_t begin = again.find(predicted);
  if (begin == std::u32string::npos || predicted.empty()) return words;
  const std::vector<size_t> from = places_without_blanks(again), to = places_without_blanks(original);
  if (from.size() != to.size()) return words;
  const auto projected = [&](size_t place) {
    return to[static_cast<size_t>(std::lower_bound(from.begin(), from.end(), place) - from.begin())];
  };
  std::string text;
  for (size_t i = projected(begin); i <= projected(begin + predicted.size() - 1); ++i) unicode::append_utf8(original[i], text);
  return text;
}

}  // namespace mpibert
