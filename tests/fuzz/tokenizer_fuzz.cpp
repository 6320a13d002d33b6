// Any bytes, and a text made of what is hard for the tokenizer, chosen by them, have the same tokens, places and words by the fast path,
// with words computed and remembered, as by the rules one after the other over all characters.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "mpibert/text/tokenizer.h"
#include "tests/support/files.h"
#include "tests/support/tokenizer_by_rules.h"
#include "text/unicode.h"

using namespace mpibert;

namespace {

struct Range {
  char32_t first, last;
};

// Scripts; what cleaning takes away; marks that stay, go and change places; characters that stand alone; and those for which tables
// disagree.
constexpr Range kRanges[] = {
    {0x20, 0x7E},       {'a', 'e'},         {'a', 'z'},         {'A', 'Z'},         {0x00, 0x20},       {0x7F, 0xA1},
    {0xA1, 0x24F},      {0x300, 0x36F},     {0x340, 0x345},     {0x370, 0x3FF},     {0x400, 0x52F},     {0x530, 0x5FF},
    {0x600, 0x6FF},     {0x900, 0x97F},     {0xB80, 0xBFF},     {0xE00, 0xE7F},     {0xF71, 0xF84},     {0x1100, 0x11FF},
    {0x1680, 0x1680},   {0x1734, 0x1734},   {0x180B, 0x180E},   {0x1AB0, 0x1ACE},   {0x1B34, 0x1B44},   {0x1C80, 0x1C8A},
    {0x1DC0, 0x1DFF},   {0x1E00, 0x1FFF},   {0x2000, 0x206F},   {0x20A0, 0x20F0},   {0x2100, 0x214F},   {0x2E40, 0x2E5D},
    {0x3000, 0x30FF},   {0x302A, 0x302F},   {0x3400, 0x34FF},   {0x4E00, 0x4EFF},   {0xAC00, 0xAD00},   {0xE000, 0xE004},
    {0xF900, 0xFAFF},   {0xFB1D, 0xFB4F},   {0xFE00, 0xFE2F},   {0xFEFF, 0xFF65},   {0xFFF9, 0xFFFF},   {0x11080, 0x110CD},
    {0x11131, 0x11134}, {0x11930, 0x11943}, {0x16EA0, 0x16EA8}, {0x16FF0, 0x16FF1}, {0x1D15E, 0x1D17A}, {0x1E000, 0x1E02A},
    {0x1E944, 0x1E95F}, {0x1F3FB, 0x1F64F}, {0x2B81D, 0x2B922}, {0x2F800, 0x2FA1D}, {0xE0001, 0xE0100}, {0x130, 0x131}};

constexpr const char* kPieces[] = {
    "[MASK]",        "[SEP]",        "[UNK]",     "[mask]",       "[",        "##",           "...",  "the",   "Yesterday",
    "##ing",         "running",      "caf\u00e9", "e\u0301",      "don't",    "\r\n",         "\t",   "[ENT]", "wo",
    "a\u0316\u0301", "\xff",         "\xe4\xb8",  "\xed\xa0\x80", "\xc0\xaf", "\xf0\x9f\x91", "\xf5", "\x80",  "\xe2\x80",
    "\u4e2d",        "\ud55c\uad6d", "\uFFFD",    "\u3002",       "\u201c"};

class Composer {
 public:
  explicit Composer(uint64_t seed) : random_(seed) {}
  size_t below(size_t limit) { return random_() % limit; }

  std::string text() {
    std::string result;
    const Range* const few[] = {&any(kRanges), &any(kRanges), &any(kRanges)};  // so that neighbours are often alike
    static constexpr size_t kLengths[] = {3, 8, 8, 20, 20, 40, 150};
    for (size_t left = 1 + below(any(kLengths)); left > 0; --left) {
      const size_t draw = below(16);
      if (draw < 2) result += any(kPieces);
      else if (draw == 2) result += ' ';
      else if (draw == 3) unicode::append_utf8(static_cast<char32_t>(below(0xD800)), result);
      else append(draw < 6 ? any(kRanges) : *any(few), draw == 15 ? 1 + below(60) : 1, result);
    }
    return result;
  }

 private:
  template <class T, size_t size>
  const T& any(const T (&list)[size]) {
    return list[below(size)];
  }
  void append(const Range& range, size_t times, std::string& out) {
    const auto character = static_cast<char32_t>(range.first + below(range.last - range.first + 1));
    for (; times > 0; --times) unicode::append_utf8(character, out);
  }
  std::minstd_rand random_;
};

struct Pair {
  BertTokenizer fast, by_rules;
};

const std::vector<Pair>& pairs() {
  static const std::vector<Pair> instance = [] {
    const Vocabulary vocabulary = Vocabulary::from_file(test::source_folder() / "tests/golden/fixtures/tokenizer_vocab.txt");
    const std::vector<AddedToken> added = {{.content = "[ENT]", .lstrip = true, .rstrip = true},
                                           {.content = "wo", .special = false, .single_word = true}};
    std::vector<Pair> pairs;
    for (const TokenizerOptions& options :
         {TokenizerOptions{}, TokenizerOptions{.do_lower_case = false}, TokenizerOptions{.do_lower_case = false, .strip_accents = true},
          TokenizerOptions{.strip_accents = false}, TokenizerOptions{.clean_text = false},
          TokenizerOptions{.tokenize_chinese_chars = false}, TokenizerOptions{.max_input_chars_per_word = 5, .match_special_tokens = false},
          TokenizerOptions{.do_lower_case = false, .tokenize_chinese_chars = false, .clean_text = false},
          TokenizerOptions{.added_tokens = added}})
      pairs.push_back({BertTokenizer(vocabulary, options), test::tokenizer_by_rules(vocabulary, options)});
    return pairs;
  }();
  return instance;
}

[[noreturn]] void fail(std::string_view text, const char* what) {
  std::fprintf(stderr, "tokenizer_fuzz: %s differ for", what);
  for (const char byte : text) std::fprintf(stderr, " %02x", static_cast<uint8_t>(byte));
  std::fprintf(stderr, "\n");
  std::abort();
}

void compare(const Pair& pair, std::string_view text) {
  const auto exact = std::make_unique<char[]>(text.size());  // not a byte more, so that a sanitizer sees one that is read
  std::copy(text.begin(), text.end(), exact.get());
  text = {exact.get(), text.size()};
  const Encoding expected = pair.by_rules.encode(text);
  for (int pass = 0; pass < 2; ++pass) {  // the second has remembered words
    if (pair.fast.ids(text) != expected.ids) fail(text, "ids alone");
    if (pair.fast.encode(text) != expected) fail(text, "tokens with places");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001b3u;
  Composer composer(hash ^ hash >> 32);
  compare(pairs()[composer.below(pairs().size())], {reinterpret_cast<const char*>(data), size});
  compare(pairs()[composer.below(pairs().size())], composer.text());
  return 0;
}
