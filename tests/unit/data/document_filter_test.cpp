#include "mpibert/data/document_filter.h"

#include "mpibert/data/corpus.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

TEST(DocumentFilter, JudgesLengthAndScript) {
  using Verdict = DocumentFilter::Verdict;
  const DocumentFilter filter({.min_characters = 5, .script = "ja", .min_script_share = 0.5});
  EXPECT_EQ(filter.judge({"これは日本語です。", "Latin too"}), Verdict::kKeep);
  EXPECT_EQ(filter.judge({"日本語", "。"}), Verdict::kShort) << "4 characters";
  EXPECT_EQ(filter.judge({"mostly Latin 日本"}), Verdict::kOtherScript);
  EXPECT_EQ(filter.judge({"12345 67890"}), Verdict::kOtherScript) << "no letter";
  const DocumentFilter cyrillic({.script = "Cyrillic"});
  EXPECT_EQ(cyrillic.judge({"Привет"}), Verdict::kKeep);
  EXPECT_EQ(cyrillic.judge({"Hello"}), Verdict::kOtherScript);
  EXPECT_EQ(DocumentFilter({}).judge({"."}), Verdict::kKeep);
  expect_contains(error_of(ErrorKind::kInvalidArgument, [] { DocumentFilter({.script = "Klingon-script"}); }), {"Klingon-script", "Latn"});
  EXPECT_THROW(DocumentFilter({.min_script_share = 1.5}), Error);
}

TEST(DocumentFilter, ReaderCountsWhatItDrops) {
  TemporaryFolder folder;
  write_text(folder / "a", "Kept, long enough.\n\nShort.\n\nПривет, как дела?\n");
  DocumentReader reader({.files = {folder / "a"}}, {.format = CorpusFormat::kLines, .filter = {.min_characters = 10, .script = "en"}});
  Document document;
  ASSERT_TRUE(reader.next(document));
  EXPECT_EQ(document, Document({"Kept, long enough."}));
  EXPECT_FALSE(reader.next(document));
  EXPECT_EQ(std::tuple(reader.counts().documents, reader.counts().short_documents, reader.counts().other_script), std::tuple(1, 1, 1));
}

TEST(DocumentHash, IsOfTheSentencesAndTheirEnds) {
  EXPECT_EQ(hash_of({"a", "b"}), hash_of({"a", "b"}));
  EXPECT_NE(hash_of({"a", "b"}), hash_of({"ab"}));
  EXPECT_NE(hash_of({"a", "b"}), hash_of({"b", "a"}));
  // printf "a\n" | sha256sum
  EXPECT_EQ(hash_of({"a"}), (DocumentHash{.high = 0x87428fc522803d31, .low = 0x065e7bce3cf03fe4}));
}

}  // namespace mpibert
