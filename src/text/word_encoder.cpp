#include "text/word_encoder.h"

#include <algorithm>

#include "text/unicode.h"

namespace mpibert {

using unicode::PropertyTable;

namespace {

constexpr bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
constexpr bool is_lead(char byte) { return (byte & 0xC0) != 0x80; }

// One word after the other: its normalised characters, then its tokens.
class WordBuilder {
 public:
  WordBuilder(const WordPiece& word_piece, int32_t word, std::vector<PlacedToken>& tokens) : word_piece_(word_piece), word_(word), tokens_(tokens) {
    utf8_.clear();
    places_.clear();
  }

  void push(char32_t value, Span characters, Span bytes) {
    unicode::append_utf8(value, utf8_);
    places_.push_back({characters, bytes});
  }
  void end_word() {
    if (places_.empty()) return;
    pieces_.clear();
    word_piece_.split(utf8_, pieces_);
    size_t begin = 0;
    for (const TokenPiece& piece : pieces_) {  // from bytes of the word back to its characters
      const size_t end = begin + static_cast<size_t>(std::count_if(utf8_.begin() + piece.begin, utf8_.begin() + piece.end, is_lead));
      const CharacterPlace &first = places_[begin], &last = places_[end - 1];
      tokens_.push_back({piece.id, word_, {first.characters.begin, last.characters.end}, {first.bytes.begin, last.bytes.end}});
      begin = end;
    }
    ++word_;
    utf8_.clear();
    places_.clear();
  }
  int32_t next_word() const { return word_; }

 private:
  struct CharacterPlace {
    Span characters, bytes;
  };
  const WordPiece& word_piece_;
  int32_t word_;
  std::vector<PlacedToken>& tokens_;
  static thread_local std::string utf8_;
  static thread_local std::vector<CharacterPlace> places_;
  static thread_local std::vector<TokenPiece> pieces_;
};

thread_local std::string WordBuilder::utf8_;
thread_local std::vector<WordBuilder::CharacterPlace> WordBuilder::places_;
thread_local std::vector<TokenPiece> WordBuilder::pieces_;

}  // namespace

void append_words(const BasicTokenizer& basic, const WordPiece& word_piece, const Characters& text, Run run, int32_t& word, std::vector<PlacedToken>& tokens) {
  thread_local std::vector<Run> words;
  words.clear();
  basic.split(text, run, words);
  WordBuilder builder(word_piece, word, tokens);
  for (const Run& place : words) {
    for (size_t i = place.begin; i < place.end; ++i) builder.push(text[i].value, text[i].characters, text[i].bytes);
    builder.end_word();
  }
  word = builder.next_word();
}

WordEncoder::WordEncoder(const BasicTokenizer& basic, const WordPiece& word_piece, const TokenizerOptions& options)
    : basic_(basic),
      word_piece_(word_piece),
      clean_text_(options.clean_text),
      tokenize_chinese_chars_(options.tokenize_chinese_chars),
      strip_accents_(options.strip_accents.value_or(options.do_lower_case)),
      do_lower_case_(options.do_lower_case) {}

void WordEncoder::encode_plain(std::string_view word, std::vector<PlacedToken>& tokens) const {
  thread_local std::string lowered;
  thread_local std::vector<TokenPiece> pieces;
  pieces.clear();
  lowered.assign(word);
  if (do_lower_case_)
    for (char& c : lowered) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  word_piece_.split(lowered, pieces);
  for (const TokenPiece& piece : pieces) tokens.push_back({piece.id, 0, {piece.begin, piece.end}, {piece.begin, piece.end}});
}

namespace {

struct Rules {
  bool clean_text, tokenize_chinese_chars, strip_accents, do_lower_case;
};

// The one pass. False where canonical ordering may move a character that stays; what was built is then void.
class OnePass {
 public:
  OnePass(const Rules& rules, WordBuilder& builder) : rules_(rules), builder_(builder) {}

  bool add(char32_t value, Span characters, Span bytes) {
    const unicode::Properties& c = properties_[value];
    characters_ = characters;
    bytes_ = bytes;
    if (rules_.clean_text && c.is(unicode::kIsRemoved)) return true;
    if (rules_.clean_text && c.is(unicode::kIsCleanSpace)) return builder_.end_word(), true;
    const bool is_alone = rules_.tokenize_chinese_chars && c.is(unicode::kIsChinese);
    if (is_alone) builder_.end_word();
    if (!rules_.strip_accents) add_normalised(value);
    else if (!c.is(unicode::kIsDecomposed)) {
      if (!add_stripped(value)) return false;
    } else {
      for (const char32_t part : properties_.decomposition(value))
        if (part != 0 && !add_stripped(part)) return false;
    }
    if (is_alone) builder_.end_word();
    return true;
  }

 private:
  bool add_stripped(char32_t value) {
    const unicode::Properties& c = properties_[value];
    if (c.is(unicode::kIsMark)) return true;
    if (c.combining_class != 0) return false;
    add_normalised(value);
    return true;
  }
  void add_normalised(char32_t value) {
    if (!rules_.do_lower_case) return add_lowered(value);
    if (value != unicode::kDottedI) return add_lowered(static_cast<char32_t>(static_cast<int64_t>(value) + properties_[value].lower_delta));
    add_lowered(U'i');
    add_lowered(unicode::kDotAbove);
  }
  void add_lowered(char32_t value) {
    const unicode::Properties& c = properties_[value];
    const bool ends_word = (c.flags & (unicode::kIsSpace | unicode::kIsPunctuation)) != 0;
    if (ends_word) builder_.end_word();
    if (!c.is(unicode::kIsSpace)) builder_.push(value, characters_, bytes_);
    if (ends_word) builder_.end_word();
  }

  Rules rules_;
  WordBuilder& builder_;
  const PropertyTable& properties_ = PropertyTable::instance();
  Span characters_, bytes_;
};

}  // namespace

int32_t WordEncoder::encode(std::string_view part, std::vector<PlacedToken>& tokens) const {
  tokens.clear();
  if (std::all_of(part.begin(), part.end(), is_ascii_letter)) {
    encode_plain(part, tokens);
    return static_cast<int32_t>(part.size());
  }
  WordBuilder builder(word_piece_, 0, tokens);
  OnePass pass({clean_text_, tokenize_chinese_chars_, strip_accents_, do_lower_case_}, builder);
  int32_t characters = 0, byte = 0;
  bool is_done = true;
  for (const char* at = part.data(); at < part.data() + part.size();) {
    const unicode::Decoded decoded = unicode::decode(at, part.data() + part.size());
    is_done = is_done && pass.add(decoded.value, {characters, characters + 1}, {byte, byte + decoded.bytes});
    ++characters;
    byte += decoded.bytes;
    at += decoded.bytes;
  }
  if (is_done) {
    builder.end_word();
    return characters;
  }
  tokens.clear();
  thread_local Characters text;
  text.clear();
  decode_text(part, {}, text);
  basic_.normalise(text);
  int32_t word = 0;
  append_words(basic_, word_piece_, text, {0, text.size()}, word, tokens);
  return characters;
}

}  // namespace mpibert
