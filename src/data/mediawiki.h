#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/decompressor.h"
#include "data/wikitext.h"

namespace mpibert {

struct WikiPage {
  std::string title, ns, text;  // text: MediaWiki's markup
  bool is_redirect = false;
};

// The pages of a dump, PROJECT-DATE-pages-articles[-multistream].xml[.bz2], one after another: what stands between <page> and </page>
// (https://www.mediawiki.org/xml/export-0.11.xsd), each parsed for itself, so that a broken page costs no other. Where a page has several
// revisions, the last. Memory: two pages, of at most 64 MiB.
class MediaWikiReader {
 public:
  // The pages that begin at byte begin .. end-1 of a plain file, or in blocks that begin there of a bzip2 file; end < 0: to the end.
  MediaWikiReader(std::filesystem::path path, int64_t begin, int64_t end);

  enum class Result : uint8_t { kPage, kMalformed, kEnd };
  Result next(WikiPage& page);                             // of a malformed page what was read before the fault
  const std::string& problem() const { return problem_; }  // of the last malformed page: file, byte, title and fault

 private:
  bool fill();

  std::filesystem::path path_;
  Decompressor bytes_;
  int64_t end_;
  std::string text_;  // what was read; before used_ it is done with
  size_t used_ = 0;
  int64_t position_ = 0;  // of text_[0], in the plain text
  int64_t limit_ = -1;    // where the pages of another piece begin, once known
  std::string problem_;
};

// The names of namespaces that the dump's <siteinfo> lists, and those that every wiki has. The file is read from its beginning.
WikiNamespaces read_namespaces(const std::filesystem::path& dump);

}  // namespace mpibert
