#include "data/sentences_icu.h"
#include "mpibert/data/corpus.h"
#include "tests/unit/data/data_support.h"
#include "tests/unit/data/packing.h"

namespace mpibert {

using namespace test;

namespace {

std::vector<Document> documents_of(const CorpusUnit& unit, const CorpusOptions& options) {
  DocumentReader reader(unit, options);
  std::vector<Document> documents;
  for (Document document; reader.next(document);) documents.push_back(document);
  return documents;
}

Document icu_sentences(const std::string& language, std::string_view paragraph) {
  Document document;
  IcuSentences(language).split(paragraph, document);
  return document;
}

}  // namespace

TEST(JsonLines, AMemberIsTheText) {
  TemporaryFolder folder;
  const std::string text =
      "{\"id\": \"1\", \"meta\": {\"text\": \"no\"}, \"text\": \"One. Two.\\nThree \\u00e9\\ud83d\\ude00.\"}\n\n{\"text\": \"\", \"body\": "
      "1}\n{\"list\": [\"text\"], \"text\": \"Four.\"}";
  write_text(folder / "a", text);
  EXPECT_EQ(detect_format(folder / "a"), CorpusFormat::kJsonLines);
  const std::vector<Document> expected = {{"One.", "Two.", "Three é😀."}, {"Four."}};
  EXPECT_EQ(documents_of({.files = {folder / "a"}}, {}), expected);
  write_text(folder / "a.zst", packed(Compression::kZstd, text));
  EXPECT_EQ(documents_of({.files = {folder / "a.zst"}}, {}), expected);
  for (int64_t cut = 1; cut < static_cast<int64_t>(text.size()); ++cut) {
    std::vector<Document> joined = documents_of({.files = {folder / "a"}, .begin = 0, .end = cut}, {});
    for (const Document& document : documents_of({.files = {folder / "a"}, .begin = cut, .end = -1}, {.format = CorpusFormat::kJsonLines}))
      joined.push_back(document);
    ASSERT_EQ(joined, expected) << cut;
  }
}

TEST(JsonLines, SayWhatIsWrong) {
  TemporaryFolder folder;
  const auto error_of_line = [&](const std::string& line) {
    write_text(folder / "a", "{\"text\": \"One.\"}\n" + line + "\n");
    return error_of(ErrorKind::kCorrupt, [&] { documents_of({.files = {folder / "a"}}, {.format = CorpusFormat::kJsonLines}); });
  };
  expect_contains(error_of_line("{\"text\": \"cut"), {"/a:2", "JSON"});
  expect_contains(error_of_line("[1]"), {"/a:2", "object"});
  expect_contains(error_of_line("{\"body\": \"x\"}"), {"/a:2", "'text'"});
  expect_contains(error_of_line("{\"text\": [\"x\"]}"), {"/a:2", "'text'", "no string"});
  write_text(folder / "a", "{\"body\": \"One.\"}");
  EXPECT_EQ(documents_of({.files = {folder / "a"}}, {.text_field = "body"}), (std::vector<Document>{{"One."}}));
}

TEST(WikiExtractorText, HtmlIsUnescaped) {
  TemporaryFolder folder;
  write_text(folder / "a", "<doc id=\"1\">\nT\nR&amp;D of 1 &lt; 2 &gt; 0 &amp;lt; & so.\n</doc>\n");
  EXPECT_EQ(documents_of({.files = {folder / "a"}}, {}), (std::vector<Document>{{"R&D of 1 < 2 > 0 &lt; & so."}}));
}

TEST(IcuSentences, EndByTheRulesOfALanguage) {
  EXPECT_EQ(icu_sentences("en", "Mr. Smith came. He left! Why? (So.) He did."),
            Document({"Mr. Smith came.", "He left!", "Why?", "(So.)", "He did."}));
  EXPECT_EQ(icu_sentences("de", "Das ist z.B. Berlin. Es regnet."), Document({"Das ist z.B. Berlin.", "Es regnet."}));
  EXPECT_EQ(icu_sentences("en", "Das ist z.B. Berlin."), Document({"Das ist z.B.", "Berlin."})) << "an abbreviation of German alone";
  EXPECT_EQ(icu_sentences("es", "El Sr. Paz vino. ¿Y tú?"), Document({"El Sr. Paz vino.", "¿Y tú?"}));
  EXPECT_EQ(icu_sentences("ja", "これは文です。次の文！"), Document({"これは文です。", "次の文！"}));
  EXPECT_EQ(icu_sentences("hi", "यह वाक्य है। दूसरा।"), Document({"यह वाक्य है।", "दूसरा।"}));
  EXPECT_EQ(icu_sentences("en", " \xFF broken \xC3. Next"), Document({"\xFF broken \xC3.", "Next"}));
  EXPECT_EQ(icu_sentences("en", ""), Document());
  expect_contains(error_of(ErrorKind::kInvalidArgument, [] { IcuSentences("klingonish"); }), {"klingonish", "ICU"});
  TemporaryFolder folder;
  write_text(folder / "a", "{\"text\": \"यह है। दूसरा।\"}");
  EXPECT_EQ(documents_of({.files = {folder / "a"}}, {.sentences = SentenceRules::kIcu, .language = "hi"}),
            (std::vector<Document>{{"यह है।", "दूसरा।"}}));
}

}  // namespace mpibert
