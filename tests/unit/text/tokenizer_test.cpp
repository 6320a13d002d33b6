#include "mpibert/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/tokenizer_by_rules.h"
#include "tests/unit/text/thrown.h"

namespace mpibert {

using test::thrown_by;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

// Every character of `characters` alone and as a piece behind the special tokens, then `words`.
Vocabulary vocabulary_of(const std::vector<std::string>& characters, const std::vector<std::string>& words = {}) {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  tokens.insert(tokens.end(), words.begin(), words.end());
  for (const std::string& c : characters) tokens.insert(tokens.end(), {c, "##" + c});
  return Vocabulary::from_tokens(tokens);
}

const std::vector<std::string> kCharacters = {
    "a",      "b",      "c",      "d",      "e",      "f", "i",      "k", "l", "n",      "o",         "r",  "s",  "t",
    "u",      "x",      "y",      "C",      "1",      "_", "-",      "'", ".", ",",      "#",         "[",  "]",  "$",
    "<",      "`",      "ß",      "ο",      "δ",      "σ", "ς",      "ω", "θ", "ſ",      "ﬁ",         "中", "文", "\U0002B81F",
    "\u1100", "\u1161", "\u11A8", "\u0301", "\u0307", "é", "\uFFFD", "€", "ı", "\u1c8a", "\U00016ebb"};

// Tokens of a text, after checking that the path of ids and what is remembered of words agree.
std::vector<std::string> tokens(const BertTokenizer& tokenizer, std::string_view text) {
  const Encoding encoding = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.ids(text), encoding.ids) << text;
  EXPECT_EQ(tokenizer.encode(text), encoding) << text;
  std::vector<std::string> result;
  for (const int32_t id : encoding.ids) result.push_back(tokenizer.vocabulary().token(id));
  return result;
}

std::vector<std::string> tokens(std::string_view text, TokenizerOptions options = {}) {
  return tokens(BertTokenizer(vocabulary_of(kCharacters, {"ab", "cafe", "istanbul", "##ab"}), std::move(options)), text);
}

std::string repeat(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

}  // namespace

TEST(Normalisation, StripsMarksThenLowersWithoutContext) {
  EXPECT_THAT(tokens("\u0130stanbul"), ElementsAre("istanbul"));
  EXPECT_THAT(tokens("ΟΔΟΣ"), ElementsAre("ο", "##δ", "##ο", "##σ"));  // no final sigma
  EXPECT_THAT(tokens("ẞ"), ElementsAre("ß"));
  EXPECT_THAT(tokens("ﬁ ſ"), ElementsAre("ﬁ", "ſ"));  // NFD, not NFKD
  EXPECT_THAT(tokens("\u212A \u2126 \u03F4"), ElementsAre("k", "ω", "θ"));
  EXPECT_THAT(tokens("Cafe\u0301 CAFÉ"), ElementsAre("cafe", "cafe"));
  EXPECT_THAT(tokens("ı"), ElementsAre("ı"));
}

TEST(Normalisation, LowersWhatUnicode17Lowers) { EXPECT_THAT(tokens("\u1c89 \U00016ea0"), ElementsAre("\u1c8a", "\U00016ebb")); }

TEST(Normalisation, CasedKeepsMarksAndSyllables) {
  TokenizerOptions cased{.do_lower_case = false};
  EXPECT_THAT(tokens("Ce\u0301", cased), ElementsAre("C", "##e", "##\u0301"));
  EXPECT_THAT(tokens("\uAC01", cased), ElementsAre("[UNK]"));
  EXPECT_THAT(tokens("\u0130", TokenizerOptions{.strip_accents = false}), ElementsAre("i", "##\u0307"));
  EXPECT_THAT(tokens("C\u00C9", TokenizerOptions{.do_lower_case = false, .strip_accents = true}), ElementsAre("[UNK]"));  // E is not there
  EXPECT_THAT(tokens("Cé", TokenizerOptions{.do_lower_case = false, .strip_accents = true}), ElementsAre("C", "##e"));
}

TEST(Normalisation, RemovesControlsAndJoinsWhatTheyParted) {
  for (const char* text : {"a\u200bb", "a\u00adb", "a\u0085b",
                           "a\x0b"
                           "b",
                           "a\x0c"
                           "b",
                           "a\x1c"
                           "b",
                           "\ue000a\U000F0000b", "a\ufffdb", "a\u180eb"})
    EXPECT_THAT(tokens(text), ElementsAre("ab")) << text;
  EXPECT_THAT(tokens(std::string_view("a\0b", 3)), ElementsAre("ab"));
  for (const char* text : {"a\u2028b", "a\u3000b", "a\u00a0b", "a\tb", "a\nb", "a\rb", "a\u1680b"})
    EXPECT_THAT(tokens(text), ElementsAre("a", "b")) << text;
  EXPECT_THAT(tokens("a\u0378b"), ElementsAre("[UNK]"));  // unassigned: not removed
}

TEST(Normalisation, WithoutCleaningWhiteSpaceStillSplits) {
  const TokenizerOptions raw{.clean_text = false};
  for (const char* text : {"a\x0b"
                           "b",
                           "a\u0085b", "a\u2028b", "a\tb"})
    EXPECT_THAT(tokens(text, raw), ElementsAre("a", "b")) << text;
  EXPECT_THAT(tokens("a\ufffd", raw), ElementsAre("a", "##\uFFFD"));
  EXPECT_THAT(tokens("a\u200bb", raw), ElementsAre("[UNK]"));
}

TEST(Normalisation, SpacesChineseCharactersButForTheReleasedGap) {
  EXPECT_THAT(tokens("a中文b"), ElementsAre("a", "中", "文", "b"));
  EXPECT_THAT(tokens("a\U0002B81Fb"), ElementsAre("a", "\U0002B81F", "b"));
  EXPECT_THAT(tokens("a\U0002B820b"), ElementsAre("[UNK]"));  // Google's range would space it
  EXPECT_THAT(tokens("a中b", TokenizerOptions{.tokenize_chinese_chars = false}), ElementsAre("a", "##中", "##b"));
}

TEST(Normalisation, SplitsHangulAndCountsItsParts) {
  EXPECT_THAT(tokens("\uAC01"), ElementsAre("\u1100", "##\u1161", "##\u11A8"));
  EXPECT_EQ(tokens(repeat("\uAC01", 33)).size(), 99u);
  EXPECT_THAT(tokens(repeat("\uAC01", 34)), ElementsAre("[UNK]"));
}

TEST(Splitting, IsolatesPunctuationButNotOtherSymbols) {
  EXPECT_THAT(tokens("don't"), ElementsAre("d", "##o", "##n", "'", "t"));
  EXPECT_THAT(tokens("a-b_c"), ElementsAre("a", "-", "b", "_", "c"));
  EXPECT_THAT(tokens("$<`"), ElementsAre("$", "<", "`"));
  EXPECT_THAT(tokens("a€b"), ElementsAre("a", "##€", "##b"));
  EXPECT_THAT(tokens("##a"), ElementsAre("#", "#", "a"));
}

TEST(Matching, TakesTheLongestAndGivesUpTheWholeWord) {
  EXPECT_THAT(tokens("abab"), ElementsAre("ab", "##ab"));
  EXPECT_THAT(tokens("aba"), ElementsAre("ab", "##a"));
  EXPECT_THAT(tokens("abz a"), ElementsAre("[UNK]", "a"));
  const BertTokenizer greedy(vocabulary_of({}, {"ab", "abc", "##d", "##cd"}));
  EXPECT_THAT(tokens(greedy, "abcd"), ElementsAre("abc", "##d"));
  EXPECT_THAT(tokens(greedy, "abccd"), ElementsAre("abc", "##cd"));
  EXPECT_THAT(tokens(greedy, "abcc"), ElementsAre("[UNK]"));  // no going back to "ab"
}

TEST(Matching, CountsCharactersOfTheNormalisedWord) {
  EXPECT_EQ(tokens(repeat("a", 100)).size(), 100u);
  EXPECT_THAT(tokens(repeat("a", 101)), ElementsAre("[UNK]"));
  EXPECT_EQ(tokens(repeat("é", 100)).size(), 100u);  // 200 bytes, 100 characters once stripped
  EXPECT_EQ(tokens(repeat("ſ", 100)).size(), 100u);  // 200 bytes
  EXPECT_THAT(tokens("abab ab", TokenizerOptions{.max_input_chars_per_word = 3}), ElementsAre("[UNK]", "ab"));
}

TEST(SpecialTokens, AreFoundInTheRawText) {
  EXPECT_THAT(tokens("x[MASK]y"), ElementsAre("x", "[MASK]", "y"));
  EXPECT_THAT(tokens("[SEP][SEP]"), ElementsAre("[SEP]", "[SEP]"));
  EXPECT_THAT(tokens("[[MASK]]"), ElementsAre("[", "[MASK]", "]"));
  EXPECT_THAT(tokens("[cls]"), ElementsAre("[", "c", "##l", "##s", "]"));
  EXPECT_THAT(tokens("[a]", TokenizerOptions{.match_special_tokens = false}), ElementsAre("[", "a", "]"));
  EXPECT_THAT(tokens("[SEP] [CLS]", TokenizerOptions{.match_special_tokens = false}),
              ElementsAre("[", "[UNK]", "]", "[", "c", "##l", "##s", "]"));
}

TEST(AddedTokens, GetIdsBehindTheVocabularyAndTheirFlags) {
  const Vocabulary vocabulary = vocabulary_of(kCharacters, {"ab"});
  TokenizerOptions options;
  options.added_tokens = {{.content = "Ab", .special = false, .normalized = true},
                          {.content = "[E]", .lstrip = true, .rstrip = true},
                          {.content = "un", .special = false, .single_word = true}};
  const BertTokenizer tokenizer(vocabulary, options);
  EXPECT_EQ(tokenizer.vocabulary().size(), vocabulary.size() + 3);
  EXPECT_EQ(tokenizer.vocabulary().id("[E]"), vocabulary.size() + 1);
  EXPECT_THAT(tokens(tokenizer, "xAB"), ElementsAre("x", "Ab"));  // by its normalised form
  EXPECT_THAT(tokens(tokenizer, "un una"), ElementsAre("un", "u", "##n", "##a"));
  const Encoding encoding = tokenizer.encode("a [E]  b");
  EXPECT_THAT(encoding.char_offsets, ElementsAre(Span{0, 1}, Span{1, 7}, Span{7, 8}));
  EXPECT_THAT(encoding.word_ids, ElementsAre(0, 1, 2));
}

TEST(AddedTokens, OneThatIsNothingIsRefused) {
  for (const char* content : {"", "\u200b", "\xff"}) {
    TokenizerOptions options;
    options.added_tokens = {{.content = content, .special = false, .normalized = true}};
    EXPECT_EQ(thrown_by([&] { BertTokenizer(vocabulary_of({}), options); }).kind(), ErrorKind::kInvalidArgument);
  }
}

TEST(Places, AreOfTheTextGiven) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters, {"cafe"}));
  const Encoding encoding = tokenizer.encode("é CAFÉ,中\u200bx\u0301\u0302y");
  EXPECT_THAT(encoding.char_offsets, ElementsAre(Span{0, 1}, Span{2, 6}, Span{6, 7}, Span{7, 8}, Span{9, 10}, Span{12, 13}));
  EXPECT_THAT(encoding.byte_offsets, ElementsAre(Span{0, 2}, Span{3, 8}, Span{8, 9}, Span{9, 12}, Span{15, 16}, Span{20, 21}));
  EXPECT_THAT(encoding.word_ids, ElementsAre(0, 1, 2, 3, 4, 4));
}

TEST(Places, PartsOfASyllableShareItsPlace) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters));
  EXPECT_THAT(tokenizer.encode("a \uAC01").char_offsets, ElementsAre(Span{0, 1}, Span{2, 3}, Span{2, 3}, Span{2, 3}));
}

TEST(Places, AnUnknownWordCoversWhatWasRemovedInside) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters));
  EXPECT_THAT(tokenizer.encode("a \U0001F468\u200D\U0001F469\u200D").char_offsets, ElementsAre(Span{0, 1}, Span{2, 5}));
}

TEST(Places, GoOnBehindAddedTokensAndLongParts) {
  const Vocabulary vocabulary = vocabulary_of(kCharacters);
  const BertTokenizer tokenizer(vocabulary), by_rules = test::tokenizer_by_rules(vocabulary, {});
  const std::string text = "é[MASK]中é " + repeat("é", 70) + repeat("a", 130) + "中b" + repeat("\u0301", 40) + "e[SEP]é";
  EXPECT_EQ(tokenizer.encode(text), by_rules.encode(text));
  EXPECT_EQ(tokenizer.encode(text), by_rules.encode(text));
  EXPECT_EQ(tokenizer.encode(text).char_offsets.back(), (Span{258, 259}));
}

TEST(Places, IllFormedBytesAreOneCharacterASubpart) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters));
  const Encoding encoding = tokenizer.encode("a\xff\xe4\xb8 b\xed\xa0\x80y");  // FF | E4 B8 | a surrogate: ED | A0 | 80
  EXPECT_THAT(encoding.char_offsets, ElementsAre(Span{0, 1}, Span{4, 5}, Span{8, 9}));
  EXPECT_THAT(encoding.byte_offsets, ElementsAre(Span{0, 1}, Span{5, 6}, Span{9, 10}));
  EXPECT_EQ(tokenizer.ids("a\xff\xe4\xb8 b\xed\xa0\x80y"), encoding.ids);
  EXPECT_THAT(tokens("a\xc3", TokenizerOptions{.clean_text = false}), ElementsAre("a", "##\uFFFD"));
}

TEST(Template, SurroundsOneTextOrTwo) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters));
  const auto id = [&](const char* token) { return tokenizer.vocabulary().id(token); };
  const Encoding one = tokenizer.encode("a[SEP]", std::nullopt, 16);
  EXPECT_THAT(one.ids, ElementsAre(2, id("a"), 3, 3));
  EXPECT_THAT(one.special_tokens_mask, ElementsAre(1, 0, 0, 1));  // what the text says is text
  const Encoding two = tokenizer.encode("a", " b-", 16);
  EXPECT_THAT(two.ids, ElementsAre(2, id("a"), 3, id("b"), id("-"), 3));
  EXPECT_THAT(two.type_ids, ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(two.word_ids, ElementsAre(-1, 0, -1, 0, 1, -1));
  EXPECT_THAT(two.char_offsets, ElementsAre(Span{}, Span{0, 1}, Span{}, Span{1, 2}, Span{2, 3}, Span{}));
  EXPECT_THAT(tokenizer.encode("", std::nullopt, 3).ids, ElementsAre(2, 3));
  EXPECT_THAT(tokenizer.ids(" \n"), IsEmpty());
  EXPECT_THAT(tokenizer.ids("\u200b"), IsEmpty());  // a word that cleaning leaves nothing of, into a vector without memory
}

TEST(Truncation, GivesTheReferenceTable) {
  const auto cut = [](int64_t a, int64_t b, Truncation truncation) {
    const PairLengths kept = truncated_lengths(a, b, 125, truncation);
    return std::pair(kept.first, kept.second);
  };
  using enum Truncation;
  EXPECT_EQ(cut(100, 100, kLongestFirst), std::pair(int64_t{62}, int64_t{63}));
  EXPECT_EQ(cut(80, 200, kLongestFirst), std::pair(int64_t{62}, int64_t{63}));
  EXPECT_EQ(cut(200, 80, kLongestFirst), std::pair(int64_t{63}, int64_t{62}));
  EXPECT_EQ(cut(62, 100, kLongestFirst), std::pair(int64_t{62}, int64_t{63}));
  EXPECT_EQ(cut(100, 100, kLongestFirstPop), std::pair(int64_t{63}, int64_t{62}));
  EXPECT_EQ(cut(80, 200, kLongestFirstPop), std::pair(int64_t{63}, int64_t{62}));
  EXPECT_EQ(cut(200, 80, kLongestFirstPop), std::pair(int64_t{63}, int64_t{62}));
  EXPECT_EQ(cut(62, 100, kLongestFirstPop), std::pair(int64_t{62}, int64_t{63}));
  EXPECT_EQ(cut(100, 30, kOnlyFirst), std::pair(int64_t{95}, int64_t{30}));
  EXPECT_EQ(cut(30, 100, kOnlySecond), std::pair(int64_t{30}, int64_t{95}));
}

TEST(Truncation, PoppingOneByOneIsTheClosedForm) {
  for (int64_t a = 0; a < 14; ++a)
    for (int64_t b = 0; b < 14; ++b)
      for (int64_t budget = 1; budget < 30; ++budget) {
        int64_t first = a, second = b;
        while (first + second > budget) --(first > second ? first : second);
        const PairLengths kept = truncated_lengths(a, b, budget, Truncation::kLongestFirstPop);
        EXPECT_EQ(std::pair(kept.first, kept.second), std::pair(first, second)) << a << " " << b << " " << budget;
        const PairLengths closed = truncated_lengths(a, b, budget, Truncation::kLongestFirst);
        EXPECT_EQ(closed.first + closed.second, std::min(a + b, budget));
        EXPECT_LE(std::abs(closed.first - first), 1);
      }
}

TEST(Truncation, WhatLeavesNoRoomIsRefusedAndNamed) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters));
  for (const int64_t max_length : {-1, 0, 2}) {
    const Error error = thrown_by([&] { tokenizer.encode("a", std::nullopt, max_length); });
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("max_length " + std::to_string(max_length) + " leaves no room"));
  }
  EXPECT_THROW(tokenizer.encode("a", "b", 3), Error);
  EXPECT_EQ(tokenizer.encode("a b", "c", 4).ids.size(), 4u);
  const Error error = thrown_by([&] { tokenizer.encode("a", "b b b b", 5, Truncation::kOnlyFirst); });
  EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("first text has 1 tokens"));
  EXPECT_EQ(thrown_by([&] { tokenizer.encode("a a a", std::nullopt, 3, Truncation::kOnlySecond); }).kind(), ErrorKind::kInvalidArgument);
}

TEST(Tokenizer, NeedsTheTokensOfTheTemplate) {
  const Error error = thrown_by([] { BertTokenizer(Vocabulary::from_tokens({"[UNK]", "[CLS]", "a"})); });
  EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("[SEP]"));
}

TEST(Tokenizer, FastPathIsThatOfTheRulesWhereverTextIsCut) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters)), by_rules = test::tokenizer_by_rules(vocabulary_of(kCharacters), {});
  const std::string text =
      "CAFÉ,\u0301x\u0327\u0301 中\u0301y a\x0b"
      "b.\u200b#ﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁ " +
      repeat("ab", 9) + " " + repeat("e\u0301", 30) + "a";
  for (size_t end = 0; end <= text.size(); ++end)  // also within a character, and with every length left to read
    EXPECT_EQ(tokenizer.encode(text.substr(0, end)), by_rules.encode(text.substr(0, end))) << end;
}

TEST(Tokenizer, TwoTokenizersOnOneThreadDoNotMixTheirWords) {
  const BertTokenizer one(vocabulary_of({"a", "b"})), other(vocabulary_of({"b", "a"}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(one.ids("ab"), ElementsAre(5, 8));
    EXPECT_THAT(other.ids("ab"), ElementsAre(7, 6));
  }
}

TEST(Tokenizer, ThreadsShareOne) {
  const BertTokenizer tokenizer(vocabulary_of(kCharacters));
  const std::string text = repeat("abc é中 x[MASK]y Ce\u0301 ", 200);
  const std::vector<int32_t> expected = tokenizer.encode(text).ids;
  std::vector<int> same(4);
  {
    std::vector<std::jthread> threads;
    for (int& result : same)
      threads.emplace_back([&] { result = tokenizer.ids(text) == expected && tokenizer.encode(text).ids == expected; });
  }
  EXPECT_THAT(same, ElementsAre(1, 1, 1, 1));
}

// What tokenizers 0.22.2 gives for the same tokens with its WordPiece decoder.
TEST(Decoding, JoinsPiecesAndDropsSpacesBeforePunctuationAsTheTokenizersCrate) {
  const BertTokenizer tokenizer(Vocabulary::from_tokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "don", "'",   "t",   "a",   "##b",
                                                         "##",    "##.",   ".",     "...",   "!",      "do",  "not", "'ve", "n't", "中"}));
  const auto text = [&](const std::vector<std::string>& words, bool skip) {
    std::vector<int32_t> ids;
    for (const std::string& word : words) ids.push_back(word.empty() ? 999 : tokenizer.vocabulary().id(word));
    return tokenizer.decode(ids, skip);
  };
  EXPECT_EQ(text({"[CLS]", "don", "'", "t", "!", "[SEP]"}, false), "[CLS] don ' t! [SEP]");
  EXPECT_EQ(text({"[CLS]", "don", "'", "t", "!", "[SEP]"}, true), "don ' t!");
  EXPECT_EQ(text({"##b", "a", "##b", "##", "##.", "a"}, true), "##b ab. a");
  EXPECT_EQ(text({"a", ".", "...", "中", "中", "[UNK]"}, false), "a.... 中 中 [UNK]");
  EXPECT_EQ(text({"do", "not", "a", "'ve", "n't"}, false), "do not a'ven't");
  EXPECT_EQ(text({"[CLS]", ".", "a"}, true), ". a");
  EXPECT_EQ(text({"", "a", "", "a"}, true), "a a") << "ids outside the vocabulary are left out";
  EXPECT_EQ(text({"[MASK]"}, true), "");
  EXPECT_EQ(text({}, true), "");
}

TEST(Decoding, CleansUpTheWholeTextAndSkipsAddedTokensByTheirFlags) {
  const Vocabulary vocabulary = Vocabulary::from_tokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "don", "'", "t", "<a>", "<b>"});
  const BertTokenizer tokenizer(
      vocabulary, {.added_tokens = {{.content = "<a>"}, {.content = "<b>", .special = false}}, .clean_up_tokenization_spaces = true});
  const std::vector<int32_t> ids = {5, 6, 7, 8, 9};
  EXPECT_EQ(tokenizer.decode(ids), "don't <a> <b>");
  EXPECT_EQ(tokenizer.decode(ids, true), "don't <b>");
}

}  // namespace mpibert
