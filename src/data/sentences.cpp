#include <algorithm>
#include <array>

#include "data/line_reader.h"
#include "mpibert/data/corpus.h"

namespace mpibert {

namespace {

// Words after which a full stop ends no sentence; lower case.
constexpr std::array<std::string_view, 42> kAbbreviations = {
    "approx", "brig", "ca", "capt", "cf", "cmdr", "col", "dr", "e.g", "eq", "esp", "fig", "figs", "fr", "ft", "gen", "gov", "hon", "i.e", "jr", "lt",
    "maj", "messrs", "mme", "mr", "mrs", "ms", "mt", "no", "nos", "pp", "pres", "prof", "rep", "rev", "sen", "sgt", "sr", "st", "ste", "vol", "vs"};
constexpr std::array<std::string_view, 3> kWideEnds = {"。", "！", "？"};
constexpr std::array<std::string_view, 10> kClosers = {"\"", "'", ")", "]", "”", "’", "」", "』", "）", "»"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

template <size_t N>
size_t starts_with_any(std::string_view text, const std::array<std::string_view, N>& choices) {
  for (const std::string_view choice : choices)
    if (text.starts_with(choice)) return choice.size();
  return 0;
}

// Whether the full stop behind this text belongs to a word and not to a sentence.
bool ends_in_abbreviation(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && (is_letter(text[begin - 1]) || text[begin - 1] == '.')) --begin;
  const std::string_view word = text.substr(begin);
  if (word.empty()) return false;
  const bool initial = is_letter(word.back()) && (word.size() == 1 || word[word.size() - 2] == '.');
  std::string lower(word);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return initial || std::find(kAbbreviations.begin(), kAbbreviations.end(), lower) != kAbbreviations.end();
}

// Marks of the same kind and closing quotes from `at` on.
size_t skip_closers(std::string_view text, size_t at) {
  for (;;) {
    const std::string_view rest = text.substr(at);
    const size_t length = !rest.empty() && (rest[0] == '.' || rest[0] == '!' || rest[0] == '?') ? 1
                          : std::max(starts_with_any(rest, kClosers), starts_with_any(rest, kWideEnds));
    if (length == 0) return at;
    at += length;
  }
}

// The end of a sentence whose last mark begins at `at`, or 0 if there is none.
size_t sentence_end(std::string_view text, size_t at) {
  const bool may_end = text[at] == '.' || text[at] == '!' || text[at] == '?' || text[at] == kWideEnds[0][0] || text[at] == kWideEnds[1][0];
  if (!may_end) return 0;  // most bytes
  if (const size_t wide = starts_with_any(text.substr(at), kWideEnds)) return skip_closers(text, at + wide);
  if (text[at] != '.' && text[at] != '!' && text[at] != '?') return 0;
  const size_t end = skip_closers(text, at + 1);
  if (end == text.size()) return end;
  if (!is_space(text[end])) return 0;
  if (at > 0 && is_space(text[at - 1])) return end;  // a mark that stands alone, as in text tokenized before
  size_t next = end;
  while (next < text.size() && is_space(text[next])) ++next;
  if (next < text.size() && text[next] >= 'a' && text[next] <= 'z') return 0;
  if (text[at] == '.' && end == at + 1 && ends_in_abbreviation(text.substr(0, at))) return 0;
  return end;
}

void add_sentence(std::string_view sentence, std::vector<std::string>& sentences) {
  while (!sentence.empty() && is_space(sentence.front())) sentence.remove_prefix(1);
  while (!sentence.empty() && is_space(sentence.back())) sentence.remove_suffix(1);
  if (!is_blank(sentence)) sentences.emplace_back(sentence);
}

}  // namespace

void split_sentences(std::string_view paragraph, std::vector<std::string>& sentences) {
  size_t begin = 0;
  for (size_t at = 0; at < paragraph.size();) {
    const size_t end = sentence_end(paragraph, at);
    if (end == 0) {
      ++at;
      continue;
    }
    add_sentence(paragraph.substr(begin, end - begin), sentences);
    begin = at = end;
  }
  add_sentence(paragraph.substr(begin), sentences);
}

}  // namespace mpibert
