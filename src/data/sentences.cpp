#include <algorithm>
#include <array>

#include "data/line_reader.h"
#include "mpibert/data/corpus.h"

namespace mpibert {

namespace {

// Words after which a full stop ends no sentence; lower case.
constexpr std::array<std::string_view, 42> kAbbreviations = {
    "approx", "brig", "ca",  "capt", "cf",   "cmdr", "col", "dr",  "e.g",    "eq",  "esp", "fig", "figs", "fr",
    "ft",     "gen",  "gov", "hon",  "i.e",  "jr",   "lt",  "maj", "messrs", "mme", "mr",  "mrs", "ms",   "mt",
    "no",     "nos",  "pp",  "pres", "prof", "rep",  "rev", "sen", "sgt",    "sr",  "st",  "ste", "vol",  "vs"};
constexpr size_t kLongestAbbreviation = 6;
constexpr std::array<std::string_view, 3> kWideEnds = {"。", "！", "？"};
constexpr std::array<std::string_view, 10> kClosers = {"\"", "'", ")", "]", "”", "’", "」", "』", "）", "»"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// By byte: whether an ending mark may begin with it. Most bytes of a text are looked at here alone.
constexpr std::array<bool, 256> kMayEnd = [] {
  std::array<bool, 256> table{};
  for (const char c : {'.', '!', '?', kWideEnds[0][0], kWideEnds[1][0]}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

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
  if (is_letter(word.back()) && (word.size() == 1 || word[word.size() - 2] == '.')) return true;  // an initial
  if (word.size() > kLongestAbbreviation) return false;
  std::array<char, kLongestAbbreviation> lower{};
  std::transform(word.begin(), word.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::binary_search(kAbbreviations.begin(), kAbbreviations.end(), std::string_view(lower.data(), word.size()));
}

// Marks of the same kind and closing quotes from `at` on.
size_t skip_closers(std::string_view text, size_t at) {
  for (; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const bool mark = rest[0] == '.' || rest[0] == '!' || rest[0] == '?';
    const size_t length = mark ? 1
                          : is_letter(rest[0]) || is_space(rest[0])
                              ? 0
                              : std::max(starts_with_any(rest, kClosers), starts_with_any(rest, kWideEnds));
    if (length == 0) break;
    at += length;
  }
  return at;
}

struct Place {
  size_t at = 0;      // where to look on
  bool ends = false;  // whether a sentence ends there
};

// What becomes of the text from a byte on that may begin an ending mark. Where a run of marks ends no sentence, none of its marks does: it
// is passed over whole.
Place after_mark(std::string_view text, size_t at) {
  if (const size_t wide = starts_with_any(text.substr(at), kWideEnds)) return {.at = skip_closers(text, at + wide), .ends = true};
  if (static_cast<unsigned char>(text[at]) >= 0x80) return {.at = at + 1};
  const size_t end = skip_closers(text, at + 1);
  if (end == text.size()) return {.at = end, .ends = true};
  if (!is_space(text[end])) return {.at = end};
  if (at > 0 && is_space(text[at - 1])) return {.at = end, .ends = true};  // a mark that stands alone, as in text tokenized before
  size_t next = end;
  while (next < text.size() && is_space(text[next])) ++next;
  if (next < text.size() && text[next] >= 'a' && text[next] <= 'z') return {.at = next};
  return {.at = end, .ends = text[at] != '.' || end != at + 1 || !ends_in_abbreviation(text.substr(0, at))};
}

void add_sentence(std::string_view sentence, Document& document) {
  while (!sentence.empty() && is_space(sentence.front())) sentence.remove_prefix(1);
  while (!sentence.empty() && is_space(sentence.back())) sentence.remove_suffix(1);
  if (!is_blank(sentence)) document.add(sentence);
}

}  // namespace

Document::Document(std::initializer_list<std::string_view> sentences) {
  for (const std::string_view sentence : sentences) add(sentence);
}

void Document::add(std::string_view sentence) {
  text_.append(sentence);
  ends_.push_back(text_.size());
  text_.push_back('\n');
}

void Document::clear() {
  text_.clear();
  ends_.clear();
}

std::string_view Document::sentence(int64_t i) const {
  const auto index = static_cast<size_t>(i);
  const size_t begin = index == 0 ? 0 : ends_[index - 1] + 1;
  return std::string_view(text_).substr(begin, ends_[index] - begin);
}

void split_sentences(std::string_view paragraph, Document& document) {
  size_t begin = 0;
  for (size_t at = 0; at < paragraph.size();) {
    if (!kMayEnd[static_cast<unsigned char>(paragraph[at])]) {
      ++at;
      continue;
    }
    const Place place = after_mark(paragraph, at);
    if (place.ends) {
      add_sentence(paragraph.substr(begin, place.at - begin), document);
      begin = place.at;
    }
    at = place.at;
  }
  add_sentence(paragraph.substr(begin), document);
}

}  // namespace mpibert
