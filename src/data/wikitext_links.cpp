#include <algorithm>
#include <array>
#include <vector>

#include "data/wikitext.h"

namespace mpibert {

namespace {

constexpr int kDeepestLink = 40;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '_' || text.front() == '\n')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '_' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

std::string namespace_key(std::string_view name) {
  std::string key(trimmed(name));
  std::transform(key.begin(), key.end(), key.begin(), [](char c) { return c == '_' ? ' ' : lower(c); });
  return key;
}

// A prefix of another wiki: a language ("de", "zh-yue", "simple") or a sister project. Links by the prefixes of Wikipedia and Wiktionary
// show their text, as in WikiExtractor.
bool is_interwiki(std::string_view prefix) {
  constexpr std::array<std::string_view, 24> kProjects = {"b",         "c",          "commons",     "d",           "doi",        "m",
                                                          "meta",      "mw",         "n",           "q",           "s",          "simple",
                                                          "species",   "v",          "voy",         "wikibooks",   "wikidata",   "wikinews",
                                                          "wikiquote", "wikisource", "wikispecies", "wikiversity", "wikivoyage", "wmf"};
  if (std::find(kProjects.begin(), kProjects.end(), prefix) != kProjects.end()) return true;
  const size_t dash = std::min(prefix.find('-'), prefix.size());
  if (dash < 2 || dash > 3 || prefix.size() > 16 || prefix.ends_with('-')) return false;
  return std::all_of(prefix.begin(), prefix.end(), [](char c) { return is_lower(c) || c == '-'; });
}

}  // namespace

WikiNamespaces::WikiNamespaces() {
  for (const char* name : {"Media",         "Special",        "Talk",        "User",          "User talk",  "Wikipedia", "Wikipedia talk",
                           "Project",       "Project talk",   "WP",          "File",          "File talk",  "Image",     "Image talk",
                           "MediaWiki",     "MediaWiki talk", "Template",    "Template talk", "Help",       "Help talk", "Category",
                           "Category talk", "Portal",         "Portal talk", "Draft",         "Draft talk", "TimedText", "TimedText talk",
                           "Module",        "Module talk"})
    add(name);
}

void WikiNamespaces::add(std::string_view name) {
  if (const std::string key = namespace_key(name); !key.empty()) names_.insert(key);
}

bool WikiNamespaces::drops(std::string_view target) const {
  target = trimmed(target);
  if (target.starts_with(':')) target = trimmed(target.substr(1));
  const size_t colon = target.find(':');
  if (colon == std::string_view::npos || colon > 100) return false;
  const std::string_view prefix = trimmed(target.substr(0, colon));
  return is_interwiki(prefix) || names_.contains(namespace_key(prefix));
}

namespace wikitext {

namespace {

// From https://www.mediawiki.org/wiki/Manual:$wgUrlProtocols.
constexpr std::array<std::string_view, 29> kProtocols = {
    "bitcoin:", "ftp://",  "ftps://", "geo:",      "git://",  "gopher://",    "http://", "https://", "irc://", "ircs://",
    "magnet:",  "mailto:", "mms://",  "news:",     "nntp://", "redis://",     "sftp://", "sip:",     "sips:",  "sms:",
    "ssh://",   "svn://",  "tel:",    "telnet://", "urn:",    "worldwind://", "xmpp:",   "//",       "matrix:"};

// Bytes of the protocol that `text` begins with, or 0.
size_t protocol_length(std::string_view text) {
  for (const std::string_view protocol : kProtocols) {
    if (text.size() < protocol.size()) continue;
    if (std::equal(protocol.begin(), protocol.end(), text.begin(), [](char p, char c) { return p == lower(c); })) return protocol.size();
  }
  return 0;
}

bool ends_address(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == '\x7F' || c == '[' || c == ']' || c == '<' || c == '>' || c == '"';
}

// A label that is the address of a picture shows the picture.
bool is_picture(std::string_view label) {
  if (!label.starts_with("http://") && !label.starts_with("https://")) return false;
  for (const char* ending : {".gif", ".png", ".jpg", ".jpeg"})
    if (label.ends_with(ending)) return label.find(' ') == std::string_view::npos;
  return false;
}

// The next of two characters, or the end of the text.
size_t find_either(std::string_view text, char a, char b, size_t at) {
  while (at < text.size() && text[at] != a && text[at] != b) ++at;
  return at;
}

struct Link {
  size_t begin, end;  // of [[ and of ]]
};

// [[ and ]] that belong together, by place; those without a partner are text.
std::vector<Link> matched_links(std::string_view text) {
  std::vector<Link> links;
  std::vector<size_t> open;
  for (size_t at = find_either(text, '[', ']', 0); at + 1 < text.size(); at = find_either(text, '[', ']', at)) {
    if (text[at + 1] != text[at]) {
      ++at;
      continue;
    }
    if (text[at] == '[') {
      open.push_back(at);
    } else if (!open.empty()) {
      links.push_back({open.back(), at});
      open.pop_back();
    }
    at += 2;
  }
  std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.begin < b.begin; });
  return links;
}

class LinkReplacer {
 public:
  LinkReplacer(std::string_view text, const WikiNamespaces& namespaces)
      : text_(text), namespaces_(namespaces), links_(matched_links(text)) {
    out_.reserve(text.size());
  }

  std::string run() {
    put(0, text_.size(), 0);
    return std::move(out_);
  }

 private:
  // The text from begin to end, links replaced. next_ goes forward only, as the text does.
  void put(size_t begin, size_t end, int depth) {
    for (;;) {
      while (next_ < links_.size() && links_[next_].begin < begin) ++next_;
      if (next_ == links_.size() || links_[next_].begin >= end) break;
      const Link link = links_[next_];
      out_.append(text_.substr(begin, link.begin - begin));
      put_link(link, depth);
      begin = link.end + 2;
    }
    out_.append(text_.substr(begin, end - begin));
  }

  void put_link(const Link& link, int depth) {
    if (depth >= kDeepestLink) return;
    const size_t inside = link.begin + 2;
    const size_t pipe = std::min(text_.substr(inside, link.end - inside).find('|'), link.end - inside) + inside;
    if (namespaces_.drops(text_.substr(inside, pipe - inside))) return;
    size_t label = pipe == link.end ? inside + (text_[inside] == ':' ? 1 : 0) : last_pipe(link) + 1, label_end = link.end;
    while (label < label_end && text_[label] == ' ') ++label;
    while (label < label_end && text_[label_end - 1] == ' ') --label_end;
    put(label, label_end, depth + 1);
  }

  // Behind the last | that is in no link inside this one.
  size_t last_pipe(const Link& link) const {
    size_t last = link.begin + 1, at = link.begin + 2;
    for (size_t i = next_ + 1;; ++i) {
      while (i < links_.size() && links_[i].begin < at) ++i;
      const size_t stop = i < links_.size() && links_[i].begin < link.end ? links_[i].begin : link.end;
      if (const size_t found = text_.substr(at, stop - at).rfind('|'); found != std::string_view::npos) last = at + found;
      if (stop == link.end) return last;
      at = links_[i].end + 2;
    }
  }

  std::string_view text_;
  const WikiNamespaces& namespaces_;
  std::vector<Link> links_;
  size_t next_ = 0;
  std::string out_;
};

}  // namespace

// What lies between braces is cut off the output again when they close; braces without a partner are text.
std::string remove_templates(std::string_view text) {
  struct Open {
    size_t begin, count;  // of the run of { in the output
  };
  std::vector<Open> open;
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t brace = find_either(text, '{', '}', at);
    out.append(text.substr(at, brace - at));
    const size_t run_end = brace == text.size() ? brace : std::min(text.find_first_not_of(text[brace], brace), text.size());
    size_t run = run_end - brace;
    at = run_end;
    if (run == 0) break;
    if (text[brace] == '{') {
      if (run >= 2) open.push_back({out.size(), run});
      out.append(run, '{');
      continue;
    }
    while (run >= 2 && !open.empty()) {
      Open& last = open.back();
      const size_t taken = last.count >= 3 && last.count % 2 == 1 && run % 2 == 1 ? 3 : 2;  // {{{parameter}}} or {{template}}
      last.count -= taken;
      run -= taken;
      out.resize(last.begin + last.count);
      if (last.count < 2) open.pop_back();
    }
    out.append(run, '}');
  }
  return out;
}

std::string remove_tables(std::string_view text) {
  std::vector<size_t> open;  // where tables begin in the output
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string_view line = text.substr(at, end - at);
    at = end;
    const size_t first = std::min(line.find_first_not_of(" \t:*#;"), line.size());
    if (line.substr(first).starts_with("{|")) {
      open.push_back(out.size() + first);
    } else if (!open.empty() && line.substr(first).starts_with("|}")) {
      out.resize(open.back());
      open.pop_back();
      line.remove_prefix(first + 2);
    }
    out.append(line);
  }
  return out;
}

std::string replace_external_links(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0, no_close_before = 0;
  while (at < text.size()) {
    const size_t bracket = std::min(text.find('[', at), text.size());
    out.append(text.substr(at, bracket - at));
    at = bracket;
    if (at == text.size()) break;
    const size_t protocol = protocol_length(text.substr(at + 1));
    size_t label = at + 1 + protocol;
    while (label < text.size() && !ends_address(text[label])) ++label;
    const bool is_address = protocol > 0 && label > at + 1 + protocol;
    while (label < text.size() && text[label] == ' ') ++label;
    size_t close = text.size();
    if (is_address && label >= no_close_before) {
      close = find_either(text, ']', '\n', label);
      if (close == text.size() || text[close] == '\n') no_close_before = close;  // no other address of the line is closed either
    }
    if (close == text.size() || text[close] == '\n') {
      out += '[';
      ++at;
      continue;
    }
    if (const std::string_view shown = text.substr(label, close - label); !is_picture(shown)) out.append(shown);
    at = close + 1;
  }
  return out;
}

std::string replace_internal_links(std::string_view text, const WikiNamespaces& namespaces) { return LinkReplacer(text, namespaces).run(); }

}  // namespace wikitext

}  // namespace mpibert
