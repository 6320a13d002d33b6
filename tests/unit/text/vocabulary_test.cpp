#include "mpibert/text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpibert/base/error.h"
#include "mpibert/base/sha256.h"
#include "tests/support/files.h"
#include "tests/unit/text/thrown.h"

namespace mpibert {

using test::TemporaryFolder;
using test::thrown_by;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

Vocabulary read(const std::string& text) {
  TemporaryFolder folder;
  test::write_text(folder / "vocab.txt", text);
  return Vocabulary::from_file(folder / "vocab.txt");
}

}  // namespace

TEST(Vocabulary, IdIsTheLineNumber) {
  const Vocabulary vocabulary = read("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nword\n##s\n");
  EXPECT_EQ(vocabulary.size(), 7);
  EXPECT_EQ(vocabulary.id("word"), 5);
  EXPECT_EQ(vocabulary.id("##s"), 6);
  EXPECT_EQ(vocabulary.id("words"), -1);
  EXPECT_EQ(vocabulary.token(6), "##s");
  EXPECT_THAT((std::vector{vocabulary.pad_id(), vocabulary.unk_id(), vocabulary.cls_id(), vocabulary.sep_id(), vocabulary.mask_id()}),
              ElementsAre(0, 1, 2, 3, 4));
}

TEST(Vocabulary, OnlyNewlineEndsALine) {
  // A lone \r, U+0085, U+2028 and VT inside a line stay; \r and Unicode white space at its end go; no \n is needed at the end of the file.
  const Vocabulary vocabulary = read("[UNK]\r\n[CLS] \n[SEP]\u3000\u2028\na\rb\na\u0085b\na\u2028b\na\vb\nlast");
  EXPECT_THAT(vocabulary.tokens(), ElementsAre("[UNK]", "[CLS]", "[SEP]", "a\rb", "a\u0085b", "a\u2028b", "a\vb", "last"));
}

TEST(Vocabulary, AnEmptyLineIsATokenAndTakesAnId) {
  const Vocabulary vocabulary = read("[UNK]\n\n[CLS]\n\u2028\n[SEP]\n##\u2028\n");
  EXPECT_THAT(vocabulary.tokens(), ElementsAre("[UNK]", "", "[CLS]", "", "[SEP]", "##"));
  EXPECT_EQ(vocabulary.id(""), 3);  // the last of equal lines
}

TEST(Vocabulary, OfEqualLinesTheLastWins) {
  const Vocabulary vocabulary = read("[UNK]\n[CLS]\n[SEP]\na\nb\na\n");
  EXPECT_EQ(vocabulary.id("a"), 5);
  EXPECT_EQ(vocabulary.token(3), "a");
}

TEST(Vocabulary, Sha256IsOfTheCanonicalText) { EXPECT_EQ(read("[UNK]\r\n[CLS] \n[SEP]").sha256(), sha256_hex("[UNK]\n[CLS]\n[SEP]\n")); }

TEST(Vocabulary, MissingFileIsNotFound) {
  const Error error = thrown_by([] { Vocabulary::from_file("/absent/vocab.txt"); });
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("/absent/vocab.txt"));
}

TEST(Vocabulary, WhatIsNoVocabularyIsCorruptAndSaysWhy) {
  const std::pair<std::string, std::string> cases[] = {{"", "is empty"},
                                                       {"[UNK]\n[CLS]\n[SEP]\n\xff\n", "not UTF-8"},
                                                       {"[UNK]\n[CLS]\n[SEP]\n\xed\xa0\x80\n", "not UTF-8"},  // a surrogate
                                                       {"[CLS]\n[SEP]\n", "no line is [UNK]"},
                                                       {"[UNK]\n[SEP]\n", "no line is [CLS]"},
                                                       {"[UNK]\n[CLS]\n", "no line is [SEP]"}};
  for (const auto& [text, why] : cases) {
    const Error error = thrown_by([&] { read(text); });
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << why;
    EXPECT_THAT(error.what(), HasSubstr(why));
    EXPECT_THAT(error.what(), HasSubstr("one WordPiece token a line"));
  }
}

TEST(Vocabulary, AnIdOutsideIsRefused) {
  const Vocabulary vocabulary = Vocabulary::from_tokens({"a", "b"});
  for (const int32_t id : {-1, 2}) {
    const Error error = thrown_by([&] { vocabulary.token(id); });
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("0 .. 1"));
  }
}

TEST(Vocabulary, ReplacementCharacterItselfIsUtf8) { EXPECT_EQ(read("[UNK]\n[CLS]\n[SEP]\n\uFFFD\n").id("\uFFFD"), 3); }

}  // namespace mpibert
