#include "tasks/python_text.h"

#include <algorithm>
#include <span>

#include "tasks/python_tables.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

constexpr char32_t kCapitalSigma = 0x3A3, kSigma = 0x3C3, kFinalSigma = 0x3C2, kDottedI = 0x130, kDotAbove = 0x307;

bool is_in(std::span<const python::CodePointRange> ranges, char32_t c) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](char32_t value, const python::CodePointRange& range) { return value < range.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

bool is_cased(char32_t c) { return is_in({python::kCased, python::kCasedCount}, c); }
bool is_case_ignorable(char32_t c) { return is_in({python::kCaseIgnorable, python::kCaseIgnorableCount}, c); }

// A letter stands before it and none after it. Source: the Unicode Standard 3.13, Final_Sigma.
bool is_final_sigma(std::u32string_view text, size_t at) {
  size_t before = at, after = at + 1;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return before > 0 && is_cased(text[before - 1]) && !(after < text.size() && is_cased(text[after]));
}

}  // namespace

std::u32string python_lower(std::u32string_view text) {
  const unicode::PropertyTable& properties = unicode::PropertyTable::instance();
  std::u32string lower;
  lower.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == kCapitalSigma) lower += is_final_sigma(text, i) ? kFinalSigma : kSigma;
    else if (c == kDottedI) lower += {U'i', kDotAbove};
    else lower += static_cast<char32_t>(static_cast<int64_t>(c) + properties[c].lower_delta);
  }
  return lower;
}

bool is_python_word(char32_t c) { return is_in({python::kWord, python::kWordCount}, c); }

bool is_python_space(char32_t c) { return (c >= 0x1C && c <= 0x1F) || unicode::PropertyTable::instance()[c].is(unicode::kIsSpace); }

std::u32string join_python_words(std::u32string_view text) {
  std::u32string words;
  bool in_word = false;
  for (const char32_t c : text) {
    const bool is_space = is_python_space(c);
    if (!is_space && !in_word && !words.empty()) words += U' ';
    if (!is_space) words += c;
    in_word = !is_space;
  }
  return words;
}

std::string join_python_words(std::string_view text) {
  std::string words;
  for (const char32_t c : join_python_words(unicode::to_utf32(text))) unicode::append_utf8(c, words);
  return words;
}

}  // namespace mpibert
