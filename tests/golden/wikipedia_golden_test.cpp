// The fixture of tests/golden/generate/mediawiki.py: a dump, and the text that WikiExtractor 3.1.0 gets out of it. All lines are equal but
// some of the articles named "Differs".

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/line_reader.h"
#include "data/mediawiki.h"
#include "tests/support/files.h"

namespace mpibert {

namespace {

std::filesystem::path fixtures() { return test::source_folder() / "tests/golden/fixtures/mediawiki"; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin != std::string::npos) lines.push_back(line.substr(begin, line.find_last_not_of(' ') + 1 - begin));
  }
  return lines;
}

std::map<std::string, std::vector<std::string>> expected_articles() {
  std::map<std::string, std::vector<std::string>> articles;
  LineReader reader(fixtures() / "expected.jsonl");
  for (std::string line; reader.next(line);) {
    const auto article = nlohmann::json::parse(line);
    articles[article.at("title")] = lines_of(article.at("text"));
  }
  return articles;
}

}  // namespace

TEST(Wikipedia, TextIsThatOfWikiExtractor) {
  const std::filesystem::path dump = fixtures() / "dump.xml.bz2";
  auto expected = expected_articles();
  const WikiNamespaces namespaces = read_namespaces(dump);
  MediaWikiReader reader(dump, 0, -1);
  WikiPage page;
  for (MediaWikiReader::Result result; (result = reader.next(page)) != MediaWikiReader::Result::kEnd;) {
    ASSERT_EQ(result, MediaWikiReader::Result::kPage) << reader.problem();
    if (page.ns != "0" || page.is_redirect) continue;
    ASSERT_TRUE(expected.contains(page.title)) << page.title;
    const auto article = expected.extract(page.title);
    const std::vector<std::string> ours = lines_of(plain_text_of_wikitext(page.text, namespaces));
    if (!page.title.starts_with("Differs")) {
      EXPECT_EQ(ours, article.mapped()) << page.title;
      continue;
    }
    EXPECT_NE(ours, article.mapped()) << page.title << ": take it out of the list of differences";
    ASSERT_FALSE(ours.empty());
    EXPECT_EQ(ours.back(), "Same here.") << page.title;
  }
  EXPECT_TRUE(expected.empty());
}

}  // namespace mpibert
