#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "data/wikitext.h"

namespace mpibert::wikitext {

namespace {

enum class Kind : uint8_t {
  kDrop,     // with all up to the first end tag: MediaWiki's extensions, which do not nest
  kNested,   // with all up to its own end tag
  kKeep,     // the tag alone
  kSpace,    // a word ends
  kLine,     // a line ends
  kFormula,  // becomes formula_1, formula_2, ...
  kCode,     // becomes codice_1, ...: WikiExtractor's word
  kNowiki,   // its text is no markup
};

struct Element {
  std::string_view name;
  Kind kind;
};

// Sorted. Tags of other names are text.
constexpr std::array kElements = {
    Element{"a", Kind::kKeep},
    Element{"abbr", Kind::kKeep},
    Element{"b", Kind::kKeep},
    Element{"bdi", Kind::kKeep},
    Element{"bdo", Kind::kKeep},
    Element{"big", Kind::kKeep},
    Element{"blockquote", Kind::kKeep},
    Element{"br", Kind::kSpace},
    Element{"caption", Kind::kNested},
    Element{"categorytree", Kind::kDrop},
    Element{"ce", Kind::kKeep},
    Element{"center", Kind::kLine},
    Element{"chem", Kind::kKeep},
    Element{"cite", Kind::kKeep},
    Element{"code", Kind::kCode},
    Element{"data", Kind::kKeep},
    Element{"dd", Kind::kNested},
    Element{"del", Kind::kKeep},
    Element{"dfn", Kind::kKeep},
    Element{"dir", Kind::kNested},
    Element{"div", Kind::kKeep},
    Element{"dl", Kind::kNested},
    Element{"dt", Kind::kNested},
    Element{"em", Kind::kKeep},
    Element{"font", Kind::kKeep},
    Element{"form", Kind::kNested},
    Element{"gallery", Kind::kDrop},
    Element{"graph", Kind::kDrop},
    Element{"h1", Kind::kLine},
    Element{"h2", Kind::kLine},
    Element{"h3", Kind::kLine},
    Element{"h4", Kind::kLine},
    Element{"h5", Kind::kLine},
    Element{"h6", Kind::kLine},
    Element{"hiero", Kind::kKeep},
    Element{"hr", Kind::kSpace},
    Element{"i", Kind::kKeep},
    Element{"imagemap", Kind::kDrop},
    Element{"img", Kind::kKeep},
    Element{"includeonly", Kind::kDrop},
    Element{"indicator", Kind::kDrop},
    Element{"input", Kind::kKeep},
    Element{"inputbox", Kind::kDrop},
    Element{"ins", Kind::kKeep},
    Element{"kbd", Kind::kKeep},
    Element{"li", Kind::kNested},
    Element{"mapframe", Kind::kDrop},
    Element{"maplink", Kind::kDrop},
    Element{"mark", Kind::kKeep},
    Element{"math", Kind::kFormula},
    Element{"menu", Kind::kNested},
    Element{"nobr", Kind::kKeep},
    Element{"noinclude", Kind::kDrop},
    Element{"nowiki", Kind::kNowiki},
    Element{"ol", Kind::kNested},
    Element{"onlyinclude", Kind::kKeep},
    Element{"option", Kind::kNested},
    Element{"p", Kind::kLine},
    Element{"plaintext", Kind::kKeep},
    Element{"poem", Kind::kKeep},
    Element{"pre", Kind::kDrop},
    Element{"q", Kind::kKeep},
    Element{"ref", Kind::kDrop},
    Element{"references", Kind::kDrop},
    Element{"rp", Kind::kKeep},
    Element{"rt", Kind::kKeep},
    Element{"ruby", Kind::kKeep},
    Element{"s", Kind::kKeep},
    Element{"samp", Kind::kKeep},
    Element{"score", Kind::kDrop},
    Element{"section", Kind::kKeep},
    Element{"select", Kind::kNested},
    Element{"small", Kind::kNested},
    Element{"source", Kind::kDrop},
    Element{"span", Kind::kKeep},
    Element{"strike", Kind::kKeep},
    Element{"strong", Kind::kKeep},
    Element{"sub", Kind::kKeep},
    Element{"sup", Kind::kKeep},
    Element{"syntaxhighlight", Kind::kDrop},
    Element{"table", Kind::kNested},
    Element{"td", Kind::kNested},
    Element{"templatedata", Kind::kDrop},
    Element{"templatestyles", Kind::kKeep},
    Element{"textarea", Kind::kNested},
    Element{"th", Kind::kNested},
    Element{"time", Kind::kKeep},
    Element{"timeline", Kind::kDrop},
    Element{"tr", Kind::kNested},
    Element{"tt", Kind::kKeep},
    Element{"u", Kind::kKeep},
    Element{"ul", Kind::kNested},
    Element{"var", Kind::kKeep},
    Element{"wbr", Kind::kKeep},
};
static_assert(std::is_sorted(kElements.begin(), kElements.end(), [](const Element& a, const Element& b) { return a.name < b.name; }));
constexpr size_t kLongestName = 16, kLongestTag = 2000;  // bytes; a bound on what is looked at again after a '<' that begins no tag

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// The element's place in kElements, or -1; `at` moves behind the name.
int take_name(std::string_view text, size_t& at) {
  std::array<char, kLongestName> name{};
  size_t length = 0;
  for (; at < text.size() && length < kLongestName; ++at, ++length) {
    const char c = lower(text[at]);
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) break;
    name[length] = c;
  }
  const std::string_view key(name.data(), length);
  const auto* found =
      std::lower_bound(kElements.begin(), kElements.end(), key, [](const Element& e, std::string_view n) { return e.name < n; });
  return found != kElements.end() && found->name == key ? static_cast<int>(found - kElements.begin()) : -1;
}

struct Tag {
  int element = -1;
  bool is_end = false, is_empty = false;  // </x>, <x/>
  size_t end = 0;                         // behind it
};

// The tag that begins with the '<' at `at`; element -1 if there is none. '>' may stand in quotes: <ref name="a > b">.
Tag tag_at(std::string_view text, size_t at) {
  Tag tag;
  const std::string_view near = text.substr(0, std::min(text.size(), at + kLongestTag));
  ++at;
  const auto skip_spaces = [&] {
    while (at < near.size() && is_space(near[at])) ++at;
  };
  skip_spaces();
  if (at < near.size() && near[at] == '/') {
    tag.is_end = true;
    ++at;
    skip_spaces();
  }
  const int element = take_name(near, at);
  if (element < 0) return tag;
  if (at < near.size() && !is_space(near[at]) && near[at] != '/' && near[at] != '>') return tag;
  for (; at < near.size() && near[at] != '>'; ++at) {
    if (near[at] == '<') return tag;
    if (near[at] != '"' && near[at] != '\'') continue;
    const size_t close = near.find(near[at], at + 1);
    if (close < near.find('\n', at)) at = close;
  }
  if (at >= near.size()) return tag;
  tag.element = element;
  tag.is_empty = near[at - 1] == '/';
  tag.end = at + 1;
  return tag;
}

class TagRemover {
 public:
  explicit TagRemover(std::string_view text) : text_(text) { out_.reserve(text.size()); }

  std::string run() {
    while (at_ < text_.size()) {
      const size_t next = std::min(text_.find('<', at_), text_.size());
      out_.append(text_.substr(at_, next - at_));
      at_ = next;
      if (at_ == text_.size()) break;
      if (text_.substr(at_).starts_with("<!--")) {
        at_ = std::min(text_.find("-->", at_ + 4), text_.size() - 3) + 3;  // to the end if it is not closed, as MediaWiki reads it
        continue;
      }
      const Tag tag = tag_at(text_, at_);
      if (tag.element < 0) {
        out_ += '<';
        ++at_;
        continue;
      }
      take(tag);
    }
    return std::move(out_);
  }

 private:
  void take(const Tag& tag) {
    const Kind kind = kElements[static_cast<size_t>(tag.element)].kind;
    const size_t begin = at_;
    at_ = tag.end;
    switch (kind) {
      case Kind::kKeep:
        return;
      case Kind::kSpace:
        return separate(begin, ' ');
      case Kind::kLine:
        return separate(begin, '\n');
      case Kind::kNested:
        return nest(tag);
      case Kind::kDrop:
      case Kind::kFormula:
      case Kind::kCode:
      case Kind::kNowiki:
        break;
    }
    if (kind == Kind::kNowiki && tag.is_empty) out_ += kNothing;
    if (tag.is_end || tag.is_empty) return;
    const Tag end = find_end(tag);
    if (end.element < 0) return;
    const std::string_view content = text_.substr(at_, end_begin_ - at_);
    at_ = end.end;
    if (kind == Kind::kFormula) out_ += numbered("formula_", formulas_, content);
    if (kind == Kind::kCode) out_ += numbered("codice_", codes_, content);
    if (kind == Kind::kNowiki)
      for (const char c : content) out_ += protect(c);
  }

  // Equal contents get the number of the first.
  struct Numbers {
    std::unordered_map<std::string_view, size_t> of_content;
    size_t uses = 0;
  };
  static std::string numbered(const char* word, Numbers& numbers, std::string_view content) {
    return word + std::to_string(numbers.of_content.emplace(content, ++numbers.uses).first->second);
  }

  void separate(size_t begin, char with) {
    const bool before = begin == 0 || is_space(text_[begin - 1]), after = at_ == text_.size() || is_space(text_[at_]);
    if (!before && !after && !out_.empty()) out_ += with;
  }

  // What lies between a start tag and its end tag is cut off the output again. A start tag without its own end tag goes alone.
  void nest(const Tag& tag) {
    auto& open = open_count_[static_cast<size_t>(tag.element)];
    if (tag.is_empty) return;
    if (!tag.is_end) {
      open_.push_back({tag.element, out_.size()});
      ++open;
      return;
    }
    while (open > 0) {
      const Open last = open_.back();
      open_.pop_back();
      --open_count_[static_cast<size_t>(last.element)];
      if (last.element != tag.element) continue;
      out_.resize(last.begin);
      return;
    }
  }

  // The next end tag of the element. That there is none is remembered, so that the rest of the text is not searched again and again.
  Tag find_end(const Tag& tag) {
    if (!unclosed_[static_cast<size_t>(tag.element)]) {
      for (size_t at = text_.find("</", at_); at != std::string_view::npos; at = text_.find("</", at + 2)) {
        const Tag end = tag_at(text_, at);
        end_begin_ = at;
        if (end.element == tag.element) return end;
      }
    }
    unclosed_[static_cast<size_t>(tag.element)] = true;
    return {};
  }

  struct Open {
    int element;
    size_t begin;
  };
  std::string_view text_;
  std::string out_;
  size_t at_ = 0, end_begin_ = 0;
  std::vector<Open> open_;
  std::array<size_t, kElements.size()> open_count_{};
  std::array<bool, kElements.size()> unclosed_{};
  Numbers formulas_, codes_;
};

}  // namespace

std::string remove_tags(std::string_view text) { return TagRemover(text).run(); }

}  // namespace mpibert::wikitext
