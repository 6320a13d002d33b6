#include "tasks/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert {
namespace {

using test::expect_error;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class TokenFile : public testing::Test {
 protected:
  std::vector<TaggedSentence> read(const std::string& text) {
    test::write_text(folder_ / "train.conll", text);
    return read_tagged_sentences(folder_ / "train.conll");
  }
  void refused(const std::string& text, const std::vector<std::string>& words) {
    expect_error(ErrorKind::kCorrupt, words, [&] { read(text); });
  }
  test::TemporaryFolder folder_;
};

TEST_F(TokenFile, SentencesEndAtEmptyLinesAndDocumentLinesAreLeftOut) {
  const auto sentences =
      read("-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\n  \n-DOCSTART- -X- O O\nPeter NNP I-NP B-PER\r\n");
  ASSERT_THAT(sentences, SizeIs(2));
  EXPECT_THAT(sentences[0].words, ElementsAre("EU", "rejects"));
  EXPECT_THAT(sentences[0].tags, ElementsAre("B-ORG", "O"));
  EXPECT_EQ(sentences[0].line, 3);
  EXPECT_THAT(sentences[1].tags, ElementsAre("B-PER"));
  EXPECT_EQ(sentences[1].line, 8);
}

TEST_F(TokenFile, TabsKeepSpacesInWordsAndOneColumnHasNoTags) {
  const auto tabs = read("New York\tB-LOC\n\"\tO\n");
  EXPECT_THAT(tabs[0].words, ElementsAre("New York", "\""));
  const auto words = read("just\nwords\n\n\xef\xbb\xbf\nhere\n");
  ASSERT_THAT(words, SizeIs(2));
  EXPECT_THAT(words[1].words, ElementsAre("here"));
  EXPECT_THAT(words[1].tags, IsEmpty());
}

TEST_F(TokenFile, Iob1BecomesIob2AndStrayInsidesOfIob2Stay) {
  EXPECT_THAT(read("a I-PER\nb I-PER\nc B-PER\nd I-LOC\ne O\nf I-LOC\n")[0].tags,
              ElementsAre("B-PER", "I-PER", "B-PER", "B-LOC", "O", "B-LOC"));
  EXPECT_THAT(read("a B-PER\nb O\nc I-PER\n")[0].tags, ElementsAre("B-PER", "O", "I-PER"));
}

TEST_F(TokenFile, RaggedLinesAreNamed) {
  refused("a X O\nb O\n", {"train.conll:2", "2 columns, expected 3 between spaces"});
  refused("a\tO\nb c O\n", {"train.conll:2", "1 column, expected 2 between tabs"});
  refused("a\tO\n\tO\n", {"train.conll:2", "the word is empty"});
  refused("a\tO\nb\t\n", {"train.conll:2", "the tag is empty"});
  refused("\n\n", {"no sentence"});
}

}  // namespace
}  // namespace mpibert
