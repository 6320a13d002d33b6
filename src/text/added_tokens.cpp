#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "mpibert/base/error.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

bool has(const Character& c, unicode::Flag flag) { return unicode::PropertyTable::instance()[c.value].is(flag); }

}  // namespace

AddedTokens::AddedTokens(const std::vector<Numbered>& tokens, const BasicTokenizer& normaliser, bool match_special_tokens)
    : match_special_tokens_(match_special_tokens) {
  bool any_matched = false;
  for (const auto& [token, id] : tokens) {
    MPIBERT_CHECK(!token.content.empty() && unicode::is_valid_utf8(token.content), kInvalidArgument, "added token '", token.content,
                  "' is empty or not UTF-8");
    Characters content;
    decode_text(token.content, {}, content);
    if (token.normalized) normaliser.normalise(content);
    MPIBERT_CHECK(!content.empty(), kInvalidArgument, "added token '", token.content,
                  "' is nothing once it is normalised; add it with normalized = false");
    Pattern pattern{{}, token, id};
    for (const Character& c : content) pattern.content.push_back(c.value);
    (token.normalized ? normalized_ : raw_).add(std::move(pattern));
    if (token.normalized) continue;
    raw_contents_.push_back(token.content);
    any_matched |= match_special_tokens || !token.special;
  }
  if (!any_matched) raw_contents_.clear();
  for (const std::string& content : raw_contents_) starts_raw_[static_cast<uint8_t>(content[0])] = true;
  one_start_ = std::count(starts_raw_.begin(), starts_raw_.end(), true) == 1;
}

void AddedTokens::Patterns::add(Pattern pattern) {
  std::vector<Pattern>& same = by_first[pattern.content[0]];
  const auto place = std::find_if(same.begin(), same.end(), [&](const Pattern& p) { return p.content.size() < pattern.content.size(); });
  same.insert(place, std::move(pattern));
}

bool AddedTokens::occur_in(std::string_view text) const {
  if (raw_contents_.empty()) return false;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end; ++at) {
    if (one_start_) {
      at = static_cast<const char*>(std::memchr(at, raw_contents_[0][0], static_cast<size_t>(end - at)));
      if (at == nullptr) return false;
    } else if (!starts_raw_[static_cast<uint8_t>(*at)]) {
      continue;
    }
    const std::string_view rest(at, static_cast<size_t>(end - at));
    for (const std::string& content : raw_contents_)
      if (rest.starts_with(content)) return true;
  }
  return false;
}

const AddedTokens::Pattern* AddedTokens::Patterns::match(const Characters& text, size_t at) const {
  const auto found = by_first.find(text[at].value);
  if (found == by_first.end()) return nullptr;
  for (const Pattern& pattern : found->second) {
    if (pattern.content.size() > text.size() - at) continue;
    const auto same = [](char32_t a, const Character& b) { return a == b.value; };
    if (std::equal(pattern.content.begin(), pattern.content.end(), text.begin() + static_cast<ptrdiff_t>(at), same)) return &pattern;
  }
  return nullptr;
}

std::vector<TextSegment> AddedTokens::split(const Patterns& patterns, const Characters& text) const {
  std::vector<TextSegment> segments;
  size_t done = 0;  // what lies before is in `segments`
  for (size_t at = 0; at < text.size();) {
    const Pattern* pattern = patterns.match(text, at);
    if (pattern == nullptr) {
      ++at;
      continue;
    }
    Run run{at, at + pattern->content.size()};
    at = run.end;
    if (pattern->token.special && !match_special_tokens_) continue;
    if (pattern->token.single_word) {
      const bool joined_before = run.begin > 0 && has(text[run.begin - 1], unicode::kIsWord);
      const bool joined_after = run.end < text.size() && has(text[run.end], unicode::kIsWord);
      if (joined_before || joined_after) continue;
    }
    if (pattern->token.lstrip) {
      while (run.begin > done && has(text[run.begin - 1], unicode::kIsSpace)) --run.begin;
      run = {std::max(run.begin, done), std::max(run.end, done)};  // white space that the token before has taken is gone
    }
    if (pattern->token.rstrip)
      while (run.end < text.size() && has(text[run.end], unicode::kIsSpace)) ++run.end;
    if (run.begin == run.end) continue;
    if (done < run.begin) segments.push_back({-1, {done, run.begin}});
    segments.push_back({pattern->id, run});
    done = run.end;
  }
  if (done < text.size()) segments.push_back({-1, {done, text.size()}});
  return segments;
}

}  // namespace mpibert
