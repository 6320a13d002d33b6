#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "mpibert/data/corpus.h"
#include "mpibert/tasks/prepare.h"
#include "mpibert/text/tokenizer.h"
#include "mpibert/text/word_counts.h"

namespace mpibert {

struct CorpusWordsOptions {
  std::vector<std::filesystem::path> inputs{};  // files and folders of text, as prepare reads them for pre-training
  CorpusOptions corpus{};
  TokenizerOptions tokenizer{};            // of which only the ones of normalisation matter
  int64_t block_bytes = int64_t{1} << 20;  // a thread reads so much of the text at a time; the counts do not depend on it
};

// Counts the words of a corpus (see WordCounter). Collective: all ranks call it with equal options and see one file system. Unit u of the
// text goes to rank u mod R, where the threads share the rank's units; then rank 0 gets the counts of all, a part of the words at a time.
// Returns all counts on rank 0, none elsewhere. Memory grows with the distinct words, not with the text. An error on one rank is thrown on
// all: kNotFound, kPermission, kIo, kCorrupt; kInvalidArgument for a corpus without a word.
WordCounts count_corpus_words(const CorpusWordsOptions& options, Exchange& exchange);

}  // namespace mpibert
