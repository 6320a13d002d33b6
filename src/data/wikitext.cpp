#include "data/wikitext.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "data/line_reader.h"
#include "text/unicode.h"

namespace mpibert {

namespace wikitext {

namespace {

constexpr size_t kDeepestHeading = 6;

// Behavior switches, from https://www.mediawiki.org/wiki/Help:Magic_words.
constexpr std::array<std::string_view, 23> kSwitches = {"ARCHIVEDTALK",
                                                        "DISAMBIG",
                                                        "END",
                                                        "EXPECTUNUSEDCATEGORY",
                                                        "EXPECTUNUSEDTEMPLATE",
                                                        "FORCETOC",
                                                        "HIDDENCAT",
                                                        "INDEX",
                                                        "NEWSECTIONLINK",
                                                        "NOCC",
                                                        "NOCONTENTCONVERT",
                                                        "NOEDITSECTION",
                                                        "NOGALLERY",
                                                        "NOGLOBAL",
                                                        "NOINDEX",
                                                        "NONEWSECTIONLINK",
                                                        "NOTALK",
                                                        "NOTC",
                                                        "NOTITLECONVERT",
                                                        "NOTOC",
                                                        "START",
                                                        "STATICREDIRECT",
                                                        "TOC"};

std::string without_switches(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = std::min(text.find("__", at), text.size());
    out.append(text.substr(at, begin - at));
    at = begin;
    if (at == text.size()) break;
    size_t end = at + 2;
    while (end < text.size() && text[end] >= 'A' && text[end] <= 'Z') ++end;
    const std::string_view name = text.substr(at + 2, end - at - 2);
    const bool known = text.substr(end).starts_with("__") && std::find(kSwitches.begin(), kSwitches.end(), name) != kSwitches.end();
    if (!known) out.append(text.substr(at, end - at));
    at = known ? end + 2 : end;
  }
  return out;
}

// ""x"" -> "x": what becomes of ''"x"''.
std::string without_doubled_quotes(std::string_view line) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    const size_t begin = std::min(line.find("\"\"", at), line.size());
    out.append(line.substr(at, begin - at));
    if (begin == line.size()) break;
    const size_t end = line.find('"', begin + 2);
    const bool pair = end != std::string_view::npos && line.substr(end).starts_with("\"\"");
    out += '"';
    at = begin + 1;
    if (!pair) continue;
    out.append(line.substr(begin + 2, end - begin - 2)) += '"';
    at = end + 2;
  }
  return out;
}

// ''x'' -> "x", '''x''' -> x, '''''x''''' -> x. A run of five without a partner in the line is one of three and one of two; of more than
// five the last five count.
std::string unquoted(std::string_view line) {
  if (line.find("''") == std::string_view::npos) return std::string(line);
  size_t fives = 0, fives_before = 0;
  for (size_t at = line.find("'''''"); at != std::string_view::npos;
       at = line.find("'''''", std::min(line.find_first_not_of('\'', at), line.size())))
    ++fives;
  std::string out;
  for (size_t at = 0; at < line.size();) {
    if (line[at] != '\'') {
      const size_t end = std::min(line.find('\'', at), line.size());
      out.append(line.substr(at, end - at));
      at = end;
      continue;
    }
    const size_t end = std::min(line.find_first_not_of('\'', at), line.size()), run = end - at;
    at = end;
    if (run == 1 || run == 4) out += '\'';
    if (run > 5) out.append(run - 5, '\'');
    const bool unpaired = run >= 5 && ++fives_before == fives && fives % 2 == 1;
    if (run == 2 || unpaired) out += '"';
  }
  return without_doubled_quotes(out);
}

// By byte: whether tidy has to look at it. Of the others whole runs are copied.
constexpr std::array<bool, 256> kUntidy = [] {
  std::array<bool, 256> table{};
  for (const char c : {' ', '\t', '<', '>', ',', ':', '.', ')', ']', '\xC2'})
    table[static_cast<unsigned char>(c)] = true;  // C2: of « and »
  return table;
}();

// What templates and references leave behind: spaces before and after brackets, runs of spaces, dots and commas.
std::string tidy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t plain = at;
    while (at < text.size() && !kUntidy[static_cast<unsigned char>(text[at])]) ++at;
    out.append(text.substr(plain, at - plain));
    if (at == text.size()) break;
    const char c = text[at] == '\t' ? ' ' : text[at];
    const bool after_space = out.ends_with(' ');
    if (c == ' ') {
      if (!after_space && !out.ends_with('(') && !out.ends_with('[') && !out.ends_with("«")) out += ' ';
      continue;
    }
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("<<") || rest.starts_with(">>")) {
      if (c == '>' && after_space) out.pop_back();
      out += c == '<' ? "«" : "»";
      ++at;
      continue;
    }
    const bool closes = c == ',' || c == ':' || c == '.' || c == ')' || c == ']' || rest.starts_with("»");
    if (closes && after_space) out.pop_back();
    if ((c == ',' || c == '.') && out.ends_with(',')) out.pop_back();
    if (c == '.') {
      const size_t run = std::min(text.find_first_not_of('.', at), text.size()) - at;
      out.append(run > 3 ? 3 : run, '.');
      at += run - 1;
      continue;
    }
    out += c;
  }
  return out;
}

void restore_protected(std::string& text) {
  static const std::array<char, 32> kOriginals = [] {
    std::array<char, 32> table{};
    for (const char c : kMarkup) table[static_cast<size_t>(protect(c))] = c;
    return table;
  }();
  std::erase(text, kNothing);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 && kOriginals[static_cast<size_t>(c)] != 0) c = kOriginals[static_cast<size_t>(c)];
}

bool has_word(std::string_view line) {
  const auto& properties = unicode::PropertyTable::instance();
  for (const char* at = line.data(); at < line.data() + line.size();) {
    const unicode::Decoded c = unicode::decode(at, line.data() + line.size());
    if (properties[c.value].is(unicode::kIsWord)) return true;
    at += c.bytes;
  }
  return false;
}

// The lines of an article that become paragraphs, with the headings above them. A heading without a paragraph goes.
class Lines {
 public:
  void add(std::string line) {
    if (line.starts_with("==") && add_heading(line)) return;
    switch (line.front()) {
      case ':':
        return put(line.substr(std::min(line.find_first_not_of(':'), line.size())));
      case '*':
      case '#':
      case ';':
      case '{':
      case '|':
        return;
      default:
        break;
    }
    if (line.back() == '}' || (line.front() == '(' && line.back() == ')') || line.find_first_not_of(".-") == std::string::npos) return;
    for (std::optional<std::string>& heading : headings_) {
      if (heading) put(std::move(*heading));
      heading.reset();
    }
    put(std::move(line));
  }
  std::string finish() { return std::move(out_); }

 private:
  bool add_heading(std::string_view line) {
    const size_t run = std::min(line.find_first_not_of('='), line.size());
    for (size_t level = std::min(run, kDeepestHeading); level >= 2; --level) {
      const size_t end = line.find(std::string_view("======").substr(0, level), level);
      if (end == std::string_view::npos) continue;
      std::string_view title = line.substr(level, end - level);
      while (!title.empty() && is_blank(title.substr(0, 1))) title.remove_prefix(1);
      while (!title.empty() && is_blank(title.substr(title.size() - 1))) title.remove_suffix(1);
      for (size_t deeper = level; deeper <= kDeepestHeading; ++deeper) headings_[deeper].reset();
      headings_[level] = str_with_stop(title);
      return true;
    }
    return false;
  }

  static std::string str_with_stop(std::string_view title) {
    std::string text(title);
    if (!text.empty() && text.back() != '!' && text.back() != '?') text += '.';
    return text;
  }

  void put(std::string line) {
    restore_protected(line);
    if (!is_blank(line)) out_.append(line) += '\n';
  }

  std::array<std::optional<std::string>, kDeepestHeading + 1> headings_;  // by level
  std::string out_;
};

}  // namespace

std::string text_of_lines(std::string_view text) {
  Lines lines;
  std::string decoded;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view raw = text.substr(at, end - at);
    at = end + 1;
    if (is_blank(raw)) continue;
    decoded.clear();
    append_entity_decoded(unquoted(raw), decoded);
    if (std::string line = tidy(decoded); !is_blank(line) && has_word(line)) lines.add(std::move(line));
  }
  return lines.finish();
}

}  // namespace wikitext

std::string plain_text_of_wikitext(std::string_view wikitext, const WikiNamespaces& namespaces) {
  std::string text(wikitext);
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\n'; });
  text = wikitext::remove_tags(text);
  text = wikitext::remove_templates(text);
  text = wikitext::remove_tables(text);
  text = wikitext::replace_external_links(text);
  text = wikitext::replace_internal_links(text, namespaces);
  return wikitext::text_of_lines(wikitext::without_switches(text));
}

}  // namespace mpibert
