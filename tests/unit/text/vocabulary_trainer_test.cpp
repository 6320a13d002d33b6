#include "mpibert/text/vocabulary_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "mpibert/text/word_counter.h"
#include "tests/unit/text/thrown.h"

namespace mpibert {

using test::thrown_by;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

namespace {

using Words = std::map<std::string, int64_t>;

WordCounts counts_of(const Words& words) {
  WordCounts counts;
  for (const auto& [word, count] : words) counts.add(word, count);
  return counts;
}

const VocabularyTrainerOptions kThree{.vocab_size = 100, .special_tokens = {"[UNK]", "[CLS]", "[SEP]"}};

// The tokens behind the special ones.
std::vector<std::string> trained(const Words& words, const VocabularyTrainerOptions& options = kThree) {
  const std::vector<std::string> tokens = train_vocabulary(counts_of(words), options).tokens();
  return {tokens.begin() + static_cast<ptrdiff_t>(options.special_tokens.size()), tokens.end()};
}

VocabularyTrainerOptions with(void (*change)(VocabularyTrainerOptions&)) {
  VocabularyTrainerOptions options = kThree;
  change(options);
  return options;
}

Words words_of(std::string_view text, const TokenizerOptions& options = {}) {
  WordCounter counter(options);
  counter.add(text);
  Words words;
  counter.flush([&](std::string_view word, int64_t count) { words[std::string(word)] += count; });
  return words;
}

}  // namespace

// u+g occur 20 times, u+n 16, h+ug 15, p+un 12; then 5: p+ug before hug+s, since p has the smaller id; 4: b+un.
TEST(VocabularyTrainer, JoinsTheMostFrequentPairAndOfEqualOnesThatOfSmallerIds) {
  const Words words = {{"hug", 10}, {"pug", 5}, {"pun", 12}, {"bun", 4}, {"hugs", 5}};
  const std::vector<std::string> expected = {"b",   "g",   "h",    "n",    "p",   "s",   "u",   "##g",  "##n",
                                             "##s", "##u", "##ug", "##un", "hug", "pun", "pug", "hugs", "bun"};
  EXPECT_EQ(trained(words), expected);
}

TEST(VocabularyTrainer, StopsAtVocabSizeAndBelowMinFrequency) {
  const Words words = {{"hug", 10}, {"pug", 5}, {"pun", 12}, {"bun", 4}, {"hugs", 5}};
  EXPECT_EQ(trained(words, with([](auto& o) { o.vocab_size = 3 + 11 + 2; })).back(), "##un");
  EXPECT_EQ(trained(words, with([](auto& o) { o.min_frequency = 5; })).back(), "hugs");
  EXPECT_EQ(trained(words, with([](auto& o) { o.min_frequency = 6; })).back(), "pun");
  EXPECT_EQ(trained(words, with([](auto& o) { o.vocab_size = 3 + 11; })).back(), "##u") << "no room for more than the alphabet";
}

// a ##a ##a ##a ##a ##a, a ##aa ##aa ##a, aaa ##aa ##a, aaa ##aaa: the three pairs of the second are equally frequent, and a has the
// smallest id.
TEST(VocabularyTrainer, JoinsFromTheLeftWithoutOverlap) {
  EXPECT_THAT(trained({{"aaaaaa", 2}}), ElementsAre("a", "##a", "##aa", "aaa", "##aaa", "aaaaaa"));
}

// b occurs most often; c, d and e equally: the smaller code points stay. What is left out joins its neighbours: "bxc" is b ##c; a word may
// then begin with a piece.
TEST(VocabularyTrainer, LimitsTheAlphabet) {
  const Words words = {{"bxc", 2}, {"b", 5}, {"e", 4}, {"d", 4}, {"c", 2}, {"yb", 1}};
  EXPECT_THAT(trained(words, with([](auto& o) { o.limit_alphabet = 3; })), ElementsAre("b", "c", "d", "##b", "##c", "bc"));
  EXPECT_THAT(trained(words, with([](auto& o) { o.limit_alphabet = 1; })), ElementsAre("b", "##b"));
}

TEST(VocabularyTrainer, KeepsTheInitialAlphabet) {
  EXPECT_THAT(trained({{"b", 5}, {"c", 6}}, with([](auto& o) {
                        o.limit_alphabet = 2;
                        o.initial_alphabet = "é";
                      })),
              ElementsAre("c", "é"));
}

// A special token of one character is in the alphabet; one that is a piece gives it its id.
TEST(VocabularyTrainer, SpecialTokensMayBePieces) {
  const auto options = with([](auto& o) {
    o.special_tokens.insert(o.special_tokens.end(), {"x", "##b", "x"});
    o.limit_alphabet = 2;
  });
  EXPECT_EQ(train_vocabulary(counts_of({{"ab", 3}, {"xa", 2}}), options).tokens(),
            (std::vector<std::string>{"[UNK]", "[CLS]", "[SEP]", "x", "##b", "a", "b", "##a", "ab", "xa"}));
}

TEST(VocabularyTrainer, PutsAnotherPrefixBeforePieces) {
  EXPECT_THAT(trained({{"abc", 2}}, with([](auto& o) { o.wordpieces_prefix = "_"; })), ElementsAre("a", "b", "c", "_b", "_c", "ab", "abc"));
  EXPECT_THAT(trained({{"aba", 2}}, with([](auto& o) { o.wordpieces_prefix = ""; })), ElementsAre("a", "b", "ab", "aba"));
}

TEST(VocabularyTrainer, DoesNotDependOnTheOrderOfWords) {
  Words words;
  WordCounts backwards;
  for (int i = 0; i < 300; ++i)
    words[std::string(1, static_cast<char>('a' + i % 7)) + static_cast<char>('a' + i % 5) + static_cast<char>('a' + i % 3) +
          static_cast<char>('a' + i % 4)] += 1 + i % 3;
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    backwards.add(word->first, 1);
    if (word->second > 1) backwards.add(word->first, word->second - 1);
  }
  const auto options = with([](auto& o) { o.vocab_size = 120; });
  EXPECT_EQ(train_vocabulary(backwards, options).tokens(), train_vocabulary(counts_of(words), options).tokens());
}

TEST(VocabularyTrainer, SaysWhatIsWrong) {
  const auto message = [](const Words& words, const VocabularyTrainerOptions& options) {
    const Error error = thrown_by([&] { train_vocabulary(counts_of(words), options); });
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    return std::string(error.what());
  };
  EXPECT_THAT(message({{"abc", 2}}, with([](auto& o) { o.vocab_size = 7; })),
              HasSubstr("vocab_size is 7, but 3 special tokens and 5 of the alphabet are 8"));
  EXPECT_THAT(message({}, kThree), HasSubstr("empty"));
  EXPECT_THAT(message({{"a", 1}}, with([](auto& o) { o.special_tokens = {"[UNK]", "[SEP]"}; })), HasSubstr("lacks [CLS]"));
  EXPECT_THAT(message({{"a", 1}}, with([](auto& o) { o.special_tokens.push_back(""); })), HasSubstr("''"));
  EXPECT_THAT(message({{"a", 1}}, with([](auto& o) { o.special_tokens.push_back("\xFF"); })), HasSubstr("UTF-8"));
  EXPECT_THAT(message({{"a", 1}}, with([](auto& o) { o.special_tokens.push_back("a b"); })), HasSubstr("white space"));
  EXPECT_THAT(message({{"a", 1}}, with([](auto& o) { o.initial_alphabet = "\xC3"; })), HasSubstr("initial_alphabet"));
  EXPECT_THAT(message({{"a", 1}}, with([](auto& o) { o.min_frequency = -1; })), HasSubstr("min_frequency is -1"));
}

TEST(WordCounter, CountsNormalisedWords) {
  EXPECT_THAT(words_of("The the, THE\tCafé\ncafe\u0301 --"),
              UnorderedElementsAre(Pair("the", 3), Pair(",", 1), Pair("cafe", 2), Pair("-", 2)));
  EXPECT_THAT(words_of("The the Café", {.do_lower_case = false}), UnorderedElementsAre(Pair("The", 1), Pair("the", 1), Pair("Café", 1)));
}

TEST(WordCounter, TakesSpecialTokensForText) {
  EXPECT_THAT(words_of("[MASK]s"), UnorderedElementsAre(Pair("[", 1), Pair("mask", 1), Pair("]", 1), Pair("s", 1)));
}

TEST(WordCounter, CutsAtChineseCharactersAndBlanksOfUnicode) {
  EXPECT_THAT(words_of("a中b中文 かな\u00a0c\u3000c"),
              UnorderedElementsAre(Pair("a", 1), Pair("中", 2), Pair("b", 1), Pair("文", 1), Pair("かな", 1), Pair("c", 2)));
  EXPECT_THAT(words_of("a中b中", {.tokenize_chinese_chars = false}), UnorderedElementsAre(Pair("a中b中", 1)));
  EXPECT_THAT(words_of("\uF900"), UnorderedElementsAre(Pair("\u8C48", 1))) << "a compatibility ideograph has a decomposition";
}

TEST(WordCounter, ReadsIllFormedTextAsTheTokenizerDoes) {
  EXPECT_THAT(words_of("a\xE4\xB8 b\xFF c\xE4中"), UnorderedElementsAre(Pair("a", 1), Pair("b", 1), Pair("c", 1), Pair("中", 1)));
  EXPECT_THAT(words_of("a\vb \x01 ", {.clean_text = false}), UnorderedElementsAre(Pair("a", 1), Pair("b", 1), Pair("\x01", 1)));
  EXPECT_THAT(words_of("a\vb \x01 "), UnorderedElementsAre(Pair("ab", 1)));
}

TEST(WordCounter, ForgetsWhatItGaveAway) {
  WordCounter counter({});
  counter.add("a, a");
  EXPECT_EQ(counter.waiting(), 1);
  Words words;
  const auto sink = [&](std::string_view word, int64_t count) { words[std::string(word)] += count; };
  counter.flush(sink);
  counter.flush(sink);
  EXPECT_THAT(words, UnorderedElementsAre(Pair("a", 2), Pair(",", 1)));
}

TEST(WordCounts, HoldsWordsOfEveryLength) {
  WordCounts counts;
  std::string word;
  for (int length = 0; length < 3000; ++length, word += static_cast<char>(length % 251)) counts.add(word, length + 1);
  for (int i = 0; i < 3; ++i) counts.add(word.substr(0, 17));
  EXPECT_EQ(counts.size(), 3000);
  EXPECT_EQ(counts.count(word.substr(0, 17)), 18 + 3);
  EXPECT_EQ(counts.count(word.substr(0, 2999)), 3000);
  EXPECT_EQ(counts.count("not there"), 0);
  int64_t sum = 0;
  counts.for_each([&](std::string_view, int64_t count) { sum += count; });
  EXPECT_EQ(sum, 3000 * 3001 / 2 + 3);
}

}  // namespace mpibert
