#include "data/mediawiki.h"

#include "mpibert/data/corpus.h"
#include "tests/unit/data/data_support.h"
#include "tests/unit/data/packing.h"

namespace mpibert {

using namespace test;

namespace {

const std::string kHead =
    "<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.11/\" version=\"0.11\" xml:lang=\"de\">\n  <siteinfo>\n    "
    "<sitename>W</sitename>\n    <namespaces>\n"
    "      <namespace key=\"6\" case=\"first-letter\">Datei</namespace>\n      <namespace key=\"0\" case=\"first-letter\" />\n    "
    "</namespaces>\n  </siteinfo>\n";

std::string page(const std::string& title, const std::string& text, const std::string& ns = "0", const std::string& more = "") {
  return "  <page>\n    <title>" + title + "</title>\n    <ns>" + ns + "</ns>\n    <id>1</id>\n" + more +
         "    <revision>\n      <id>2</id>\n      <contributor><username>u</username><id>3</id></contributor>\n      <text bytes=\"9\" "
         "xml:space=\"preserve\">" +
         text + "</text>\n    </revision>\n  </page>\n";
}

std::string dump_of(const std::string& pages) { return kHead + pages + "</mediawiki>\n"; }

struct Read {
  std::vector<Document> documents;
  CorpusCounts counts;
};
Read read(const CorpusUnit& unit, CorpusOptions options = {}) {
  DocumentReader reader(unit, options);
  Read all;
  for (Document document; reader.next(document);) all.documents.push_back(document);
  all.counts = reader.counts();
  return all;
}

}  // namespace

TEST(MediaWiki, ArticlesAreDocuments) {
  TemporaryFolder folder;
  write_text(folder / "d", dump_of(page("A", "&lt;b&gt;One&lt;/b&gt; [[Datei:x.png]]here. Two &amp;amp; three.\n\nFour.") +
                                   page("Diskussion:A", "no", "1") + page("R", "#REDIRECT [[A]]", "0", "    <redirect title=\"A\" />\n") +
                                   page("Empty", "") + page("B", "Five.")));
  EXPECT_EQ(detect_format(folder / "d"), CorpusFormat::kMediaWiki);
  const Read all = read({.files = {folder / "d"}});
  EXPECT_EQ(all.documents, (std::vector<Document>{{"One here.", "Two & three.", "Four."}, {"Five."}}));
  EXPECT_EQ(std::tuple(all.counts.documents, all.counts.empty, all.counts.redirects, all.counts.other_namespaces, all.counts.malformed),
            std::tuple(2, 1, 1, 1, 0));
}

TEST(MediaWiki, MalformedPagesAreCountedOrStop) {
  TemporaryFolder folder;
  const std::string good = page("Good", "Fine."), broken = page("Broken", "a <b> c"), entity = page("Entity", "a &nbsp; b"),
                    bytes = page("Bytes", "a \xFF b");
  const std::string unfinished = page("Unfinished", "x").substr(0, 120), cut = page("Cut", "Never ends");
  write_text(folder / "d", kHead + good + broken + good + entity + bytes + unfinished + good + cut.substr(0, cut.size() - 20));
  const Read all = read({.files = {folder / "d"}});
  EXPECT_EQ(all.documents, (std::vector<Document>{{"Fine."}, {"Fine."}, {"Fine."}}));
  EXPECT_EQ(all.counts.malformed, 5);
  const size_t at = kHead.size() + good.size() + 2;
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read({.files = {folder / "d"}}, {.strict = true}); }),
                  {"/d", "byte " + std::to_string(at), "'Broken'", "mismatched tag", "line"});
}

// Wherever a dump is cut into pieces, they give its articles: each once, in order. So do the streams of a compressed one, wherever pages
// begin in them.
TEST(MediaWiki, PiecesGiveTheArticles) {
  TemporaryFolder folder;
  std::string pages;
  for (int i = 0; i < 6; ++i) pages += page("P" + std::to_string(i), "Text " + std::to_string(i) + ".");
  const std::string text = dump_of(pages);
  std::string streams;
  for (size_t at = 0; at < text.size(); at += 97) streams += packed(Compression::kBzip2, text.substr(at, 97));
  write_text(folder / "plain", text);
  write_text(folder / "streams", streams);
  for (const auto& [name, size] : {std::pair<const char*, size_t>{"plain", text.size()}, {"streams", streams.size()}}) {
    const std::vector<Document> whole = read({.files = {folder / name}}).documents;
    ASSERT_EQ(whole.size(), 6u);
    for (int64_t cut = 1; cut < static_cast<int64_t>(size); cut += 3) {
      std::vector<Document> joined = read({.files = {folder / name}, .begin = 0, .end = cut}).documents;
      for (const Document& document : read({.files = {folder / name}, .begin = cut, .end = -1}).documents) joined.push_back(document);
      ASSERT_EQ(joined, whole) << name << " cut at " << cut;
    }
  }
  const std::vector<std::filesystem::path> files = {folder / "plain", folder / "streams"};
  EXPECT_GT(plan_corpus(files, 400).size(), 6u);
}

// A dump of one bzip2 stream is cut at its blocks, in the middle of pages.
TEST(MediaWiki, PiecesOfOneStreamGiveTheArticles) {
  TemporaryFolder folder;
  std::string pages;
  for (int i = 0; i < 60; ++i) {
    std::string text = "Number " + std::to_string(i) + " is";
    for (int j = 0; j < 1500; ++j) text += " " + std::to_string((i * 7919 + j * 104729) % 99991);
    pages += page("P" + std::to_string(i), text + ".");
  }
  const std::string bytes = packed(Compression::kBzip2, dump_of(pages));
  write_text(folder / "dump.xml.bz2", bytes);
  const std::vector<Document> whole = read({.files = {folder / "dump.xml.bz2"}}).documents;
  ASSERT_EQ(whole.size(), 60u);
  for (const int64_t block_bytes : {20'000, 100'000}) {
    const std::vector<CorpusUnit> units = plan_corpus(std::vector<std::filesystem::path>{folder / "dump.xml.bz2"}, block_bytes);
    EXPECT_GT(units.size(), 3u);
    std::vector<Document> joined;
    size_t most = 0;
    for (const CorpusUnit& unit : units) {
      const std::vector<Document> piece = read(unit).documents;
      most = std::max(most, piece.size());
      joined.insert(joined.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(joined, whole);
    EXPECT_LT(most, 30u);
  }
}

TEST(MediaWiki, ParquetIsRefusedWithWhatToDo) {
  TemporaryFolder folder;
  write_text(folder / "a.parquet", "PAR1....");
  expect_contains(
      error_of(ErrorKind::kInvalidArgument, [&] { plan_corpus(std::vector<std::filesystem::path>{folder / "a.parquet"}, 100); }),
      {"a.parquet", "Parquet", "JSON lines"});
}

}  // namespace mpibert
