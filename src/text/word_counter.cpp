#include "mpibert/text/word_counter.h"

#include <algorithm>

#include "text/basic_tokenizer.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

enum Class : uint8_t { kPart, kSpace, kPunctuation, kPerhapsChinese };

// The first Chinese character is U+3400, E3 90 80. What follows a lead byte is never one itself, so a lead byte begins a character of
// ill-formed text too.
constexpr uint8_t kFirstChineseLead = 0xE3;

}  // namespace

struct WordCounter::Data {
  explicit Data(const TokenizerOptions& options);
  size_t chinese_bytes(const char* at, const char* end) const;
  void normalise(std::string_view piece, int64_t count);

  BasicTokenizer basic;
  std::array<uint8_t, 256> class_of{};
  std::array<char, 128> plain{};  // of printable ASCII the byte that it becomes, else 0
  std::array<int64_t, 128> punctuation{};
  WordCounts raw, words;
  Characters characters;
  std::vector<Run> runs;
  std::string word;
};

WordCounter::Data::Data(const TokenizerOptions& options) : basic(options) {
  const auto& properties = unicode::PropertyTable::instance();
  for (size_t byte = 0; byte < 256; ++byte) {
    if (byte >= 128) {
      class_of[byte] = byte >= kFirstChineseLead && options.tokenize_chinese_chars ? kPerhapsChinese : kPart;
      continue;
    }
    const unicode::Properties& c = properties[static_cast<char32_t>(byte)];
    const bool is_removed = options.clean_text && c.is(unicode::kIsRemoved);  // and so joins its neighbours
    class_of[byte] = c.is(unicode::kIsSpace) && !is_removed ? kSpace : c.is(unicode::kIsPunctuation) ? kPunctuation : kPart;
    if (byte <= ' ' || byte == 127) continue;
    const bool is_capital = byte >= 'A' && byte <= 'Z';
    plain[byte] = static_cast<char>(is_capital && options.do_lower_case ? byte - 'A' + 'a' : byte);
  }
}

// The length of the Chinese character at `at`, 0 if it is none.
size_t WordCounter::Data::chinese_bytes(const char* at, const char* end) const {
  const unicode::Decoded decoded = unicode::decode(at, end);
  return unicode::PropertyTable::instance()[decoded.value].is(unicode::kIsChinese) ? static_cast<size_t>(decoded.bytes) : 0;
}

void WordCounter::Data::normalise(std::string_view piece, int64_t count) {
  word.clear();
  for (const char c : piece) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 128 || plain[byte] == 0) break;
    word.push_back(plain[byte]);
  }
  if (word.size() == piece.size()) return words.add(word, count);
  characters.clear();
  runs.clear();
  decode_text(piece, {}, characters);
  basic.normalise(characters);
  basic.split(characters, {0, characters.size()}, runs);
  for (const Run& run : runs) {
    word.clear();
    for (size_t i = run.begin; i < run.end; ++i) unicode::append_utf8(characters[i].value, word);
    words.add(word, count);
  }
}

WordCounter::WordCounter(const TokenizerOptions& options) : data_(std::make_unique<Data>(options)) {}
WordCounter::~WordCounter() = default;
WordCounter::WordCounter(WordCounter&&) noexcept = default;

int64_t WordCounter::waiting() const { return data_->raw.size(); }

// As the scanner of the tokenizer cuts: white space and punctuation of ASCII and Chinese characters are gaps or words by themselves, and no
// mark is reordered across them.
void WordCounter::add(std::string_view text) {
  Data& d = *data_;
  const char* const end = text.data() + text.size();
  const char* begin = text.data();  // of the piece
  const auto count_piece = [&](const char* to) {
    if (begin < to) d.raw.add({begin, static_cast<size_t>(to - begin)});
  };
  for (const char* at = begin; at < end;) {
    const auto byte = static_cast<uint8_t>(*at);
    size_t bytes = 1;
    switch (d.class_of[byte]) {
      case kPart:
        ++at;
        continue;
      case kPunctuation:
        ++d.punctuation[byte];
        [[fallthrough]];
      case kSpace:
        count_piece(at);
        break;
      case kPerhapsChinese:
        bytes = d.chinese_bytes(at, end);
        if (bytes == 0) {
          ++at;
          continue;
        }
        count_piece(at);
        d.raw.add({at, bytes});  // a compatibility ideograph becomes another one
    }
    at += bytes;
    begin = at;
  }
  count_piece(end);
}

const WordCounts& WordCounter::normalise() {
  Data& d = *data_;
  for (size_t byte = 0; byte < d.punctuation.size(); ++byte) {
    const char c = static_cast<char>(byte);
    d.words.add({&c, 1}, d.punctuation[byte]);
  }
  d.raw.for_each([&](std::string_view piece, int64_t count) { d.normalise(piece, count); });
  return d.words;
}

void WordCounter::forget() {
  data_->raw.clear();
  data_->words.clear();
  data_->punctuation.fill(0);
}

}  // namespace mpibert
