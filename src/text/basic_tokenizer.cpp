#include "text/basic_tokenizer.h"

#include <algorithm>

#include "text/unicode.h"

namespace mpibert {

using unicode::PropertyTable;

void decode_text(std::string_view text, Place place, Characters& out) {
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const unicode::Decoded decoded = unicode::decode(at, end);
    out.push_back({decoded.value, {place.byte, place.byte + decoded.bytes}, {place.character, place.character + 1}});
    at += decoded.bytes;
    place.byte += decoded.bytes;
    ++place.character;
  }
}

void BasicTokenizer::normalise(Characters& text) const {
  if (rules_.clean_text) clean(text);
  if (rules_.tokenize_chinese_chars) space_chinese(text);
  if (rules_.strip_accents) strip_accents(text);
  if (rules_.do_lower_case) lower(text);
}

void BasicTokenizer::clean(Characters& text) const {
  const PropertyTable& properties = PropertyTable::instance();
  std::erase_if(text, [&](const Character& c) { return properties[c.value].is(unicode::kIsRemoved); });
  for (Character& c : text)
    if (properties[c.value].is(unicode::kIsCleanSpace)) c.value = U' ';
}

void BasicTokenizer::space_chinese(Characters& text) const {
  const PropertyTable& properties = PropertyTable::instance();
  const auto is_chinese = [&](const Character& c) { return properties[c.value].is(unicode::kIsChinese); };
  const auto count = static_cast<size_t>(std::count_if(text.begin(), text.end(), is_chinese));
  if (count == 0) return;
  size_t from = text.size();
  text.resize(text.size() + 2 * count);
  for (size_t to = text.size(); from-- > 0;) {  // from the back, so that nothing is overwritten before it is read
    const Character c = text[from];
    if (!is_chinese(c)) {
      text[--to] = c;
      continue;
    }
    Character space = c;
    space.value = U' ';
    text[--to] = space;
    text[--to] = c;
    text[--to] = space;
  }
}

namespace {

// A character of the decomposed text before it has a place.
struct Pending {
  char32_t value = 0;
  uint8_t combining_class = 0;
  bool inserted = false;  // not the first of its decomposition
};

}  // namespace

// NFD, then marks away. Canonical ordering moves a mark together with its being inserted or not, and the crate then deals places in order:
// a first character takes the next place of the text, an inserted one the place last dealt. So a reordered mark may show its neighbour's
// place.
void BasicTokenizer::strip_accents(Characters& text) const {
  const PropertyTable& properties = PropertyTable::instance();
  const auto is_plain = [&](const Character& c) {
    return c.value < 0x80 ||
           ((properties[c.value].flags & (unicode::kIsDecomposed | unicode::kIsMark)) == 0 && properties[c.value].combining_class == 0);
  };
  const auto first = static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_plain) - text.begin());
  if (first == text.size()) return;

  thread_local std::vector<Pending> pending;
  pending.clear();
  size_t marks_begin = 0;  // of the run of combining characters at the end
  const auto order = [&] {
    std::stable_sort(pending.begin() + static_cast<ptrdiff_t>(marks_begin), pending.end(),
                     [](const Pending& a, const Pending& b) { return a.combining_class < b.combining_class; });
  };
  const auto push = [&](char32_t value, bool inserted) {
    const uint8_t combining_class = properties[value].combining_class;
    if (combining_class == 0 && pending.size() - marks_begin > 1) order();
    pending.push_back({value, combining_class, inserted});
    if (combining_class == 0) marks_begin = pending.size();
  };
  for (size_t i = first; i < text.size(); ++i) {
    if (!properties[text[i].value].is(unicode::kIsDecomposed)) {
      push(text[i].value, false);
      continue;
    }
    bool inserted = false;
    for (const char32_t value : properties.decomposition(text[i].value)) {
      if (value == 0) break;
      push(value, inserted);
      inserted = true;
    }
  }
  if (pending.size() - marks_begin > 1) order();

  thread_local Characters stripped;
  stripped.clear();
  size_t next = first;
  for (const Pending& c : pending) {  // the first of all is never an inserted one: decompositions are in canonical order
    Character placed = c.inserted ? text[next - 1] : text[next++];
    placed.value = c.value;
    if (!properties[c.value].is(unicode::kIsMark)) stripped.push_back(placed);
  }
  text.resize(first);
  text.insert(text.end(), stripped.begin(), stripped.end());
}

void BasicTokenizer::lower(Characters& text) const {
  const PropertyTable& properties = PropertyTable::instance();
  size_t dots = 0;
  for (Character& c : text) {
    if (c.value == unicode::kDottedI) ++dots;
    else c.value = static_cast<char32_t>(static_cast<int64_t>(c.value) + properties[c.value].lower_delta);
  }
  if (dots == 0) return;
  size_t from = text.size();
  text.resize(text.size() + dots);
  for (size_t to = text.size(); from-- > 0;) {
    Character c = text[from];
    if (c.value == unicode::kDottedI) {
      c.value = unicode::kDotAbove;
      text[--to] = c;
      c.value = U'i';
    }
    text[--to] = c;
  }
}

void BasicTokenizer::split(const Characters& text, Run part, std::vector<Run>& words) const {
  const PropertyTable& properties = PropertyTable::instance();
  size_t begin = part.begin;
  const auto end_word = [&](size_t end) {
    if (begin < end) words.push_back({begin, end});
  };
  for (size_t i = part.begin; i < part.end; ++i) {
    const unicode::Properties& c = properties[text[i].value];
    if ((c.flags & (unicode::kIsSpace | unicode::kIsPunctuation)) == 0) continue;
    end_word(i);
    if (c.is(unicode::kIsPunctuation)) words.push_back({i, i + 1});
    begin = i + 1;
  }
  end_word(part.end);
}

}  // namespace mpibert
