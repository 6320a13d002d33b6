#include "text/word_encoder.h"

#include <algorithm>

#include "text/unicode.h"
#include "text/word_builder.h"

namespace mpibert {

namespace {

constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_ascii_letter(char c) { return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Character after character through all rules. Their order is that of BasicTokenizer, and so are the places: what a character becomes, if
// it is several, all has its place, and what canonical ordering moves is stripped.
class OnePass {
 public:
  OnePass(const NormalisationRules& rules, WordBuilder& builder) : rules_(rules), builder_(builder) {}

  // False if ordering may move a character that stays; what was built is then void.
  bool add(char32_t value, Span characters, Span bytes) {
    characters_ = characters;
    bytes_ = bytes;
    const unicode::Properties& c = properties_[value];
    if (rules_.clean_text && c.is(unicode::kIsRemoved)) return true;
    if (rules_.clean_text && c.is(unicode::kIsCleanSpace)) {
      builder_.end_word();
      return true;
    }
    const bool is_alone = rules_.tokenize_chinese_chars && c.is(unicode::kIsChinese);
    if (is_alone) builder_.end_word();
    const bool is_in_order = rules_.strip_accents ? decompose(value, c) : lower(value);
    if (is_alone) builder_.end_word();
    return is_in_order;
  }

 private:
  bool decompose(char32_t value, const unicode::Properties& c) {
    if (!c.is(unicode::kIsDecomposed)) return strip(value, c);
    bool is_in_order = true;
    for (const char32_t part : properties_.decomposition(value))
      if (part != 0) is_in_order = strip(part, properties_[part]) && is_in_order;
    return is_in_order;
  }
  bool strip(char32_t value, const unicode::Properties& c) {
    if (c.is(unicode::kIsMark)) return true;
    return c.combining_class == 0 && lower(value);
  }
  bool lower(char32_t value) {
    if (rules_.do_lower_case && value == unicode::kDottedI) {
      push(U'i');
      push(unicode::kDotAbove);
    } else {
      push(rules_.do_lower_case ? static_cast<char32_t>(static_cast<int64_t>(value) + properties_[value].lower_delta) : value);
    }
    return true;
  }
  void push(char32_t value) {
    const unicode::Properties& c = properties_[value];
    const bool ends_word = (c.flags & (unicode::kIsSpace | unicode::kIsPunctuation)) != 0;
    if (ends_word) builder_.end_word();
    if (!c.is(unicode::kIsSpace)) builder_.push(value, characters_, bytes_);
    if (ends_word) builder_.end_word();
  }

  const NormalisationRules rules_;
  WordBuilder& builder_;
  const unicode::PropertyTable& properties_ = unicode::PropertyTable::instance();
  Span characters_, bytes_;
};

}  // namespace

int32_t WordEncoder::encode(std::string_view part, std::vector<PlacedToken>& tokens) const {
  tokens.clear();
  if (std::all_of(part.begin(), part.end(), is_ascii_letter)) {
    encode_ascii_word(part, tokens);
    return static_cast<int32_t>(part.size());
  }
  WordBuilder builder(word_piece_, 0, tokens);
  OnePass pass(basic_.rules(), builder);
  int32_t characters = 0, byte = 0;
  bool is_in_order = true;
  for (const char *at = part.data(), *const end = at + part.size(); at < end; ++characters) {
    const unicode::Decoded decoded = unicode::decode(at, end);
    is_in_order = is_in_order && pass.add(decoded.value, {characters, characters + 1}, {byte, byte + decoded.bytes});
    at += decoded.bytes;
    byte += decoded.bytes;
  }
  if (is_in_order) builder.end_word();
  else encode_in_passes(part, tokens);
  return characters;
}

void WordEncoder::encode_ascii_word(std::string_view word, std::vector<PlacedToken>& tokens) const {
  thread_local std::string lowered;
  thread_local std::vector<TokenPiece> pieces;
  lowered.assign(word);
  if (basic_.rules().do_lower_case)
    for (char& c : lowered) c = static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c);
  pieces.clear();
  word_piece_.split(lowered, pieces);
  for (const TokenPiece& piece : pieces) tokens.push_back({piece.id, 0, {piece.begin, piece.end}, {piece.begin, piece.end}});
}

void WordEncoder::encode_in_passes(std::string_view part, std::vector<PlacedToken>& tokens) const {
  tokens.clear();
  Characters text;
  decode_text(part, {}, text);
  basic_.normalise(text);
  int32_t word = 0;
  append_words(basic_, word_piece_, text, {0, text.size()}, word, tokens);
}

}  // namespace mpibert
