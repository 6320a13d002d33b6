// usage: wikipedia_driver DUMP: the text of each article, a line each: {"title": ..., "text": ...}

#include <cstdio>
#include <nlohmann/json.hpp>

#include "data/mediawiki.h"
#include "mpibert/base/error.h"

int main(int argc, char** argv) {
  using namespace mpibert;
  if (argc != 2) {
    std::fprintf(stderr, "usage: wikipedia_driver DUMP\n");
    return 64;
  }
  try {
    const WikiNamespaces namespaces = read_namespaces(argv[1]);
    MediaWikiReader reader(argv[1], 0, -1);
    WikiPage page;
    for (MediaWikiReader::Result result; (result = reader.next(page)) != MediaWikiReader::Result::kEnd;) {
      MPIBERT_CHECK(result == MediaWikiReader::Result::kPage, kCorrupt, reader.problem());
      if (page.ns == "0" && !page.is_redirect)
        std::printf("%s\n", nlohmann::json{{"title", page.title}, {"text", plain_text_of_wikitext(page.text, namespaces)}}.dump().c_str());
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "wikipedia_driver: %s\n", error.what());
    return 1;
  }
  return 0;
}
