#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "mpibert/data/masking.h"
#include "mpibert/data/token_shard.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert {

// The training instances of google-research/bert, create_pretraining_data.py, as that script makes them: the same samples in the same
// order, because the random numbers are Python's (Random(random_seed) of Python 3, one stream drawn in the script's order). All documents
// and all samples are in memory, and one thread makes them: for comparison with others' results on corpora of up to some hundred MiB, not
// for a corpus at scale.
struct GoogleInstanceOptions {
  int64_t max_seq_length = 128;
  double short_seq_prob = 0.1;
  MaskingOptions masking{};
  int64_t dupe_factor = 10;
  uint64_t random_seed = 12345;
};

// One sentence a line, a blank line between documents; the end of a file ends no document, as in the script. The tokenizer's vocabulary and
// case are taken; its other settings are the script's: "[MASK]" in the text is text, and words have up to 200 characters. Throws as
// LineReader.
std::vector<TokenizedDocument> read_google_documents(std::span<const std::filesystem::path> files, const BertTokenizer& tokenizer);

// Throws kInvalidArgument for no document, or options out of range. Samples have labels masked_lm_positions, masked_lm_ids,
// next_sentence_labels; ids count from 0. Two habits of the script are kept: of a corpus of one document the text that follows as "random"
// is its own, and with whole words a piece ## that begins b is masked with the end of a.
std::vector<Sample> make_google_instances(std::vector<TokenizedDocument> documents, const Vocabulary& vocabulary,
                                          const GoogleInstanceOptions& options);

}  // namespace mpibert
