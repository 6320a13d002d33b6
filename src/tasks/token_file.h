#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mpibert {

// One sentence of a file with a word a line.
struct TaggedSentence {
  int64_t line = 0;  // of its first word; the others follow
  std::vector<std::string> words;
  std::vector<std::string> tags;  // as many, or none in a file without tags
};

// The files of CoNLL's shared tasks and their like: a word a line, then its other columns, between tabs or between spaces, the tag the
// last; an empty line between sentences (a line with nothing but a byte order mark is one). Lines that begin with -DOCSTART- are left out.
// A file with one column has no tags. In a file whose tags are IOB1, where B only tells two neighbours of a type apart, they become IOB2,
// where B begins every entity. Throws as LineReader; kCorrupt naming file and line where a line has another number of columns than the
// first, or a column is empty, and where there is no sentence.
std::vector<TaggedSentence> read_tagged_sentences(const std::filesystem::path& path);

}  // namespace mpibert
