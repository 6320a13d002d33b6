#include "mpibert/data/corpus.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "mpibert/base/file.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

void write_gzip(const std::filesystem::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

std::vector<Document> documents_of(const CorpusUnit& unit, CorpusFormat format) {
  DocumentReader reader(unit, format);
  std::vector<Document> documents;
  for (Document document; reader.next(document);) documents.push_back(document);
  return documents;
}

Document sentences_of(const std::string& paragraph) {
  Document document;
  split_sentences(paragraph, document);
  return document;
}

}  // namespace

TEST(SplitSentences, EndsAtMarksBeforeANewSentence) {
  EXPECT_EQ(sentences_of("One. Two!  Three? four."), Document({"One.", "Two!", "Three? four."}));
  EXPECT_EQ(sentences_of("He said \"No.\" Then (he left.) 3 came."), Document({"He said \"No.\"", "Then (he left.)", "3 came."}));
  EXPECT_EQ(sentences_of("What?! Really... Yes"), Document({"What?!", "Really...", "Yes"}));
  EXPECT_EQ(sentences_of("Pi is 3.14 and v1.2.Beta"), Document({"Pi is 3.14 and v1.2.Beta"}));
  EXPECT_EQ(sentences_of("  \t "), Document());
  EXPECT_EQ(sentences_of(""), Document());
}

TEST(SplitSentences, KnowsAbbreviations) {
  EXPECT_EQ(sentences_of("Mr. Smith met Dr. J. R. Jones of the U.S. Navy. He left."),
            Document({"Mr. Smith met Dr. J. R. Jones of the U.S. Navy.", "He left."}));
  EXPECT_EQ(sentences_of("See Fig. 3, i.e. Vol. II. End."), Document({"See Fig. 3, i.e. Vol. II.", "End."}));
  EXPECT_EQ(sentences_of("It was so. So it was."), Document({"It was so.", "So it was."}));
}

TEST(SplitSentences, EndsAtMarksThatStandAlone) {
  EXPECT_EQ(sentences_of("the cat sat . the U.S. dog ran ! it is 3 . 5 ?"),
            Document({"the cat sat .", "the U.S. dog ran !", "it is 3 .", "5 ?"}));
}

// Nothing is looked at twice for each mark of a run: a quarter of a second for the whole, not an hour.
TEST(SplitSentences, TakesLinearTime) {
  for (const std::string& part :
       {std::string("!"), std::string(". "), std::string("a."), std::string(".\""), std::string("。"), std::string("\xE3")}) {
    std::string text = "x";
    while (text.size() < 4'000'000) text += part;
    sentences_of(text + "x");
  }
}

TEST(SplitSentences, EndsAtWideMarksAnywhere) {
  EXPECT_EQ(sentences_of("数学是研究数量的学科。它很古老！对吗？”是的。"),
            Document({"数学是研究数量的学科。", "它很古老！", "对吗？”", "是的。"}));
}

TEST(CorpusFormat, HasNames) {
  EXPECT_THAT(corpus_format_names(), testing::ElementsAre("auto", "wikiextractor", "lines", "text", "jsonl", "mediawiki"));
  for (const std::string& name : corpus_format_names()) EXPECT_EQ(name_of(corpus_format_from_name(name)), name);
  expect_contains(error_of(ErrorKind::kUsage, [] { corpus_format_from_name("xml"); }), {"'xml'", "wikiextractor"});
}

TEST(DetectFormat, LooksAtTheFirstLines) {
  TemporaryFolder folder;
  const auto detect = [&](const std::string& text) {
    write_text(folder / "a", text);
    return detect_format(folder / "a");
  };
  EXPECT_EQ(detect("\n<doc id=\"1\" title=\"A\">\nA\n\nText.\n</doc>\n"), CorpusFormat::kWikiExtractor);
  EXPECT_EQ(detect("One is here.\nTwo is here.\n\nThree is here!\n"), CorpusFormat::kLines);
  EXPECT_EQ(detect("A line of a book that is wrapped\nbefore its end. And goes on\nhere and there.\n\nMore\n"), CorpusFormat::kText);
  EXPECT_EQ(detect("One. Two. Three.\nFour. Five. Six.\n"), CorpusFormat::kText);
}

TEST(DetectFormat, KnowsTheSampleFiles) {
  const std::filesystem::path sample = std::filesystem::path(MPIBERT_SOURCE_DIR) / "datasets" / "sample";
  EXPECT_EQ(detect_format(sample / "corpus.txt"), CorpusFormat::kLines);
  EXPECT_EQ(detect_format(sample / "wiki" / "AA" / "wiki_00"), CorpusFormat::kWikiExtractor);
}

TEST(DocumentReader, ReadsWikiExtractor) {
  TemporaryFolder folder;
  const std::string text =
      "junk\n<doc id=\"1\" url=\"u\" title=\"Anarchism\">\nAnarchism\n\nFirst one. Second one.\n\nHeading.\nThird.\n</doc>\n\n"
      "<doc id=\"2\" title=\"Empty\">\nEmpty\n\n</doc>\n<doc id=\"3\" title=\"Open\">\nOpen\n\nNo end tag.\n<doc id=\"4\" "
      "title=\"Last\">\r\nLast\r\nIt ends with the file.";
  const std::vector<Document> expected = {{"First one.", "Second one.", "Heading.", "Third."}, {"No end tag."}, {"It ends with the file."}};
  write_text(folder / "wiki_00", text);
  EXPECT_EQ(documents_of({.files = {folder / "wiki_00"}}, CorpusFormat::kWikiExtractor), expected);
  write_gzip(folder / "wiki_00.gz", text);
  EXPECT_EQ(documents_of({.files = {folder / "wiki_00.gz"}}, CorpusFormat::kWikiExtractor), expected);
}

TEST(DocumentReader, ReadsLines) {
  TemporaryFolder folder;
  write_text(folder / "a",
             "\xEF\xBB\xBF"
             "one\ntwo\n\n \t\n\xC2\xA0\nthree\r\n\xE2\x80\x8B\n\n\n");
  write_text(folder / "b", "four");
  // A line of a zero-width space is not blank; a new file is a new document.
  EXPECT_EQ(documents_of({.files = {folder / "a", folder / "b"}}, CorpusFormat::kLines),
            (std::vector<Document>{{"one", "two"}, {"three", "\xE2\x80\x8B"}, {"four"}}));
}

TEST(DocumentReader, ReadsWrappedText) {
  TemporaryFolder folder;
  write_text(folder / "a", "It was\nlate. He\nslept.\n\n   Then a well-\n  known man--\nhe alone--woke so\xC2\xAD\nmany.\n");
  EXPECT_EQ(documents_of({.files = {folder / "a"}}, CorpusFormat::kText),
            (std::vector<Document>{{"It was late.", "He slept.", "Then a well-known man-- he alone--woke somany."}}));
  std::string book;
  for (int i = 0; i < 5000; ++i) book += "Paragraph number " + std::to_string(i) + ".\n\n";
  write_text(folder / "b", book);
  const std::vector<Document> parts = documents_of({.files = {folder / "b"}}, CorpusFormat::kText);
  EXPECT_EQ(parts.size(), 4u);  // 115 KB in documents of 32 KiB
  int64_t sentences = 0;
  for (const Document& part : parts) sentences += part.sentences();
  EXPECT_EQ(sentences, 5000);
}

TEST(DocumentReader, FindsTheFormatOfEachFile) {
  TemporaryFolder folder;
  write_text(folder / "wiki", "<doc id=\"1\">\nTitle\nOne here. Two here.\n</doc>\n");
  write_text(folder / "book", "A line of a book that is wrapped\nbefore its end. And goes on\nto here.\n\nMore\n");
  write_text(folder / "lines", "One is here.\nTwo is here.\n\nThree is here!\n");
  EXPECT_EQ(documents_of({.files = {folder / "wiki", folder / "book", folder / "lines"}}, CorpusFormat::kAuto),
            (std::vector<Document>{{"One here.", "Two here."},
                                   {"A line of a book that is wrapped before its end.", "And goes on to here.", "More"},
                                   {"One is here.", "Two is here."},
                                   {"Three is here!"}}));
}

// Wherever a file is cut into pieces, the pieces together give its documents: each once, in order.
TEST(DocumentReader, PiecesOfAFileGiveItsDocuments) {
  TemporaryFolder folder;
  const std::vector<std::pair<CorpusFormat, std::string>> texts = {
      {CorpusFormat::kWikiExtractor,
       "<doc id=\"1\">\nT\nA b.\n</doc>\n<doc id=\"2\">\nT\nC d.\nE f.\n</doc>\n\n<doc id=\"3\">\nT\nG h.\n</doc>\n"},
      {CorpusFormat::kLines, "a b\nc\n\nd e f\n\n\n\ng\nh\n \ni\n"}};
  for (const auto& [format, text] : texts) {
    write_text(folder / "a", text);
    const std::vector<Document> whole = documents_of({.files = {folder / "a"}}, format);
    ASSERT_GE(whole.size(), 3u);
    const int64_t size = static_cast<int64_t>(text.size());
    for (int64_t first = 1; first < size; ++first) {
      for (int64_t second = first; second < size; ++second) {
        std::vector<Document> joined;
        for (const auto& [begin, end] : {std::pair{int64_t{0}, first}, std::pair{first, second}, std::pair{second, int64_t{-1}}}) {
          if (begin == end) continue;
          const std::vector<Document> piece = documents_of({.files = {folder / "a"}, .begin = begin, .end = end}, format);
          joined.insert(joined.end(), piece.begin(), piece.end());
        }
        ASSERT_EQ(joined, whole) << name_of(format) << " cut at " << first << " and " << second;
      }
    }
  }
}

TEST(DocumentReader, SaysWhatIsWrongWithAFile) {
  TemporaryFolder folder;
  expect_contains(error_of(ErrorKind::kNotFound, [&] { documents_of({.files = {folder / "absent"}}, CorpusFormat::kLines); }), {"absent"});
  std::string text;
  for (int i = 0; i < 20000; ++i) text += std::to_string(i * 7919) + "\n";
  write_gzip(folder / "a.gz", text);
  const std::string bytes = read_text(folder / "a.gz");
  write_text(folder / "cut.gz", bytes.substr(0, bytes.size() / 2));
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { documents_of({.files = {folder / "cut.gz"}}, CorpusFormat::kLines); }),
                  {"cut.gz", "gzip", "cut off"});
  std::string broken = bytes;
  broken[bytes.size() / 2] = static_cast<char>(broken[bytes.size() / 2] ^ 0x55);
  write_text(folder / "broken.gz", broken);
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { documents_of({.files = {folder / "broken.gz"}}, CorpusFormat::kLines); }),
                  {"broken.gz", "gzip"});
  write_text(folder / "hidden", bytes);
  expect_contains(
      error_of(ErrorKind::kInvalidArgument, [&] { documents_of({.files = {folder / "hidden"}, .begin = 9}, CorpusFormat::kLines); }),
      {"byte", "gzip"});
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { documents_of({.files = {folder.path()}}, CorpusFormat::kLines); }),
                  {"folder"});
}

TEST(ListCorpusFiles, WalksFoldersInOrder) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "AB");
  std::filesystem::create_directories(folder / "AA");
  std::filesystem::create_directories(folder / ".git");
  for (const char* name : {"AB/wiki_01", "AB/wiki_00", "AA/wiki_09", ".hidden", ".git/config"}) write_text(folder / name, "x");
  const std::vector<std::filesystem::path> inputs = {folder.path()};
  EXPECT_EQ(list_corpus_files(inputs),
            (std::vector<std::filesystem::path>{folder / "AA" / "wiki_09", folder / "AB" / "wiki_00", folder / "AB" / "wiki_01"}));
  expect_contains(error_of(ErrorKind::kNotFound, [&] { list_corpus_files(std::vector<std::filesystem::path>{folder / "absent"}); }),
                  {"absent"});
  std::filesystem::create_directories(folder / "empty");
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { list_corpus_files(std::vector<std::filesystem::path>{folder / "empty"}); }),
                  {"no file", "empty"});
}

TEST(PlanCorpus, GroupsSmallFilesAndCutsLargeOnes) {
  TemporaryFolder folder;
  write_text(folder / "a", std::string(60, 'x'));
  write_text(folder / "b", std::string(60, 'x'));
  write_text(folder / "c", std::string(30, 'x'));
  write_text(folder / "d", std::string(290, 'x'));
  write_text(folder / "e", "\x1F\x8B\x08" + std::string(287, 'x'));  // begins as gzip does
  write_text(folder / "f", "");
  const std::vector<std::filesystem::path> files = {folder / "a", folder / "b", folder / "c", folder / "d", folder / "e", folder / "f"};
  const std::vector<CorpusUnit> units = plan_corpus(files, 100);
  ASSERT_EQ(units.size(), 7u);
  EXPECT_EQ(units[0].files, std::vector<std::filesystem::path>{folder / "a"});
  EXPECT_EQ(units[1].files, (std::vector<std::filesystem::path>{folder / "b", folder / "c"}));
  EXPECT_EQ(std::pair(units[2].begin, units[2].end), std::pair(int64_t{0}, int64_t{96}));
  EXPECT_EQ(std::pair(units[3].begin, units[3].end), std::pair(int64_t{96}, int64_t{193}));
  EXPECT_EQ(std::pair(units[4].begin, units[4].end), std::pair(int64_t{193}, int64_t{-1}));
  EXPECT_EQ(units[5].files, std::vector<std::filesystem::path>{folder / "e"});
  EXPECT_EQ(units[6].files, std::vector<std::filesystem::path>{folder / "f"});
}

}  // namespace mpibert
