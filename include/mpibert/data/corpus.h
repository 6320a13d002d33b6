#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/data/document.h"
#include "mpibert/data/document_filter.h"

namespace mpibert {

// How raw text says where documents and sentences end. gzip, bzip2, zstd and xz are recognised by the first bytes and read as if they were
// not there.
enum class CorpusFormat : uint8_t {
  kAuto,           // looked for in each file: see detect_format
  kWikiExtractor,  // <doc ...>, title line (dropped), one paragraph a line, </doc>
  kLines,          // one sentence a line, blank line between documents: the input of the reference script
  kText,           // paragraphs of wrapped lines between blank lines; a document is a file, or a part of it of some 32 KiB
  kJsonLines,      // an object a line, a member of which is the text of a document, a paragraph a line; as of WikiExtractor's --json
  kMediaWiki,      // a dump of a wiki in XML; documents are its articles: pages of namespace 0 that do not redirect
};
std::vector<std::string> corpus_format_names();               // auto, wikiextractor, lines, text, jsonl, mediawiki
CorpusFormat corpus_format_from_name(std::string_view name);  // throws kUsage on another
std::string_view name_of(CorpusFormat format);

// How paragraphs are cut into sentences: by split_sentences, or by ICU's rules for a language (Unicode Standard Annex 29 with the
// abbreviations of the language, https://unicode-org.github.io/icu/userguide/boundaryanalysis).
enum class SentenceRules : uint8_t { kFast, kIcu };

struct CorpusOptions {
  CorpusFormat format = CorpusFormat::kAuto;
  std::string text_field = "text";  // of JSON lines
  SentenceRules sentences = SentenceRules::kFast;
  std::string language = "en";  // of ICU's rules: a BCP 47 tag or an ICU locale
  bool strict = false;          // a malformed page of a dump is an error; otherwise it is reported, counted and left out
  DocumentFilterOptions filter{};
};
// The format, and what else is not the default, by the names of the command line: equal for equal options.
std::vector<std::pair<std::string, std::string>> named_options(const CorpusOptions& options);

// All files under the paths (folders are walked; names that begin with a dot are passed over), each folder in order of path.
// Throws kNotFound for a path that is not there, kInvalidArgument when there is no file at all.
std::vector<std::filesystem::path> list_corpus_files(std::span<const std::filesystem::path> paths);

// By the first line that is not blank: kWikiExtractor if it begins with "<doc ", kMediaWiki with "<mediawiki" or "<?xml", kJsonLines with
// "{"; else kLines if most of the first lines end a sentence and hold one each; else kText.
CorpusFormat detect_format(const std::filesystem::path& file);

// Sentences of a paragraph. A sentence ends after . ! ? (and closing quotes or brackets) before white space and something other than a
// lower-case letter, unless the word before the full stop is a known abbreviation or a single letter; after a mark that stands between
// white space, as in text tokenized before; and after 。！？ anywhere.
void split_sentences(std::string_view paragraph, Document& document);  // adds to it

// A piece of the input that one rank reads alone: some whole files, or bytes begin .. end-1 of one (a document belongs to the piece in
// which it starts). The pieces are a function of the list of files, their contents and block_bytes; not of the ranks. Of compressed files
// only dumps packed by bzip2 are cut, at its blocks.
struct CorpusUnit {
  std::vector<std::filesystem::path> files{};
  int64_t begin = 0, end = -1;  // -1: to the end of the last file
};
// Throws kInvalidArgument for files that hold no text: Parquet, Arrow, HDF5, zip and 7z.
std::vector<CorpusUnit> plan_corpus(std::span<const std::filesystem::path> files, int64_t block_bytes);

struct CorpusCounts {
  int64_t documents = 0;                                       // that were given
  int64_t empty = 0;                                           // without a sentence
  int64_t short_documents = 0, other_script = 0;               // left out by the filter
  int64_t redirects = 0, other_namespaces = 0, malformed = 0;  // pages of dumps that were left out
  bool operator==(const CorpusCounts&) const = default;
};

// The documents of a unit, one after another, in bounded memory. Throws kCorrupt with file and line or byte: a damaged stream
// (data/decompressor.h), a line of more than 64 MiB, a line that is no JSON object or lacks the text field, with options.strict a malformed
// page. A file without a document is said in a warning.
class DocumentReader {
 public:
  DocumentReader(CorpusUnit unit, CorpusOptions options);
  DocumentReader(CorpusUnit unit, CorpusFormat format) : DocumentReader(std::move(unit), CorpusOptions{.format = format}) {}
  ~DocumentReader();
  DocumentReader(DocumentReader&&) noexcept;
  bool next(Document& document);  // false at the end; documents without a sentence, and those that the filter drops, are passed over
  const CorpusCounts& counts() const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
