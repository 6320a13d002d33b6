#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>


namespace mpibert {

// How raw text says where documents and sentences end. gzip is recognised by its first bytes and read as if it were not there.
enum class CorpusFormat : uint8_t {
  kAuto,           // looked for in each file: see detect_format
  kWikiExtractor,  // <doc ...>, title line (dropped), one paragraph a line, </doc>
  kLines,          // one sentence a line, blank line between documents: the input of the reference script
  kText,           // paragraphs of wrapped lines between blank lines; a document is a file, or a part of it of some 32 KiB
};
CorpusFormat corpus_format_from_name(std::string_view name);  // auto, wikiextractor, lines, text; throws kUsage on another
std::string_view name_of(CorpusFormat format);

// All files under the paths (folders are walked; names that begin with a dot are passed over), each folder in order of path.
// Throws kNotFound for a path that is not there, kInvalidArgument when there is no file at all.
std::vector<std::filesystem::path> list_corpus_files(std::span<const std::filesystem::path> paths);

// kWikiExtractor if the first line begins with "<doc "; kLines if most of the first lines end a sentence and hold one each; else kText.
CorpusFormat detect_format(const std::filesystem::path& file);

// Sentences of a paragraph. A sentence ends after . ! ? (and closing quotes or brackets) before white space and something other than a
// lower-case letter, unless the word before the full stop is a known abbreviation or a single letter; after a mark that stands between white
// space, as in text tokenized before; and after 。！？ anywhere.
void split_sentences(std::string_view paragraph, std::vector<std::string>& sentences);

// A piece of the input that one rank reads alone: some whole files, or bytes begin .. end-1 of one (a document belongs to the piece in which
// it starts). The pieces are a function of the list of files, their sizes and block_bytes; not of the ranks.
struct CorpusUnit {
  std::vector<std::filesystem::path> files{};
  int64_t begin = 0, end = -1;  // -1: to the end of the last file
};
std::vector<CorpusUnit> plan_corpus(std::span<const std::filesystem::path> files, int64_t block_bytes);

using Document = std::vector<std::string>;  // its sentences

// The documents of a unit, one after another, in bounded memory. Throws kCorrupt with file and line: a broken gzip stream, a line of
// more than 64 MiB. A file without a document is said in a warning.
class DocumentReader {
 public:
  DocumentReader(CorpusUnit unit, CorpusFormat format);
  ~DocumentReader();
  DocumentReader(DocumentReader&&) noexcept;
  bool next(Document& document);  // false at the end; documents without a sentence are passed over

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
