#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mpibert/base/random.h"
#include "mpibert/data/schema.h"
#include "mpibert/data/token_shard.h"

namespace mpibert {

// How samples of pre-training are made of the documents of a token store.
struct SampleRecipe {
  int64_t max_seq_length = 0;   // tokens of a sequence at most, [CLS] and [SEP] among them; 0: what the store was prepared with
  double short_seq_prob = 0.1;  // share of the documents that aim at a random shorter length
  uint64_t seed = 0;
};

// A sample as planned from the lengths of its document's sentences alone. Places are tokens of the document's shard.
struct PlannedSample {
  IndexRange a, b;              // b: what follows a; of a segment empty, and where b comes from elsewhere what would have followed
  bool is_random_next = false;  // b is to be taken from another document, until a and b have `target` tokens
  int64_t target = 0;
  uint64_t key = 0;  // of the random numbers that finish it: the other document, and what is cut
};

// The next-sentence pairs of one document: [CLS] a [SEP] b [SEP] with label next_sentence_labels, 1 where b comes from another document.
// sentence_offsets: where its sentences begin, and the last ends. Appends. How many there are does not depend on other documents. Source:
// google-research/bert, create_pretraining_data.py, create_instances_from_document; the one difference: the random numbers are a function
// of the document's place, not of what was read before it. Throws kInvalidArgument unless max_seq_length >= 5.
void plan_sentence_pairs(std::span<const uint32_t> sentence_offsets, int64_t max_seq_length, double short_seq_prob, RandomStream random,
                         std::vector<PlannedSample>& samples);
Schema sentence_pair_labels();

// One document as segments for the masked language model alone, in order and without overlap: [CLS] sentences [SEP], whole sentences as
// long as they fit; a sentence longer than a segment is cut. Segments do not cross documents: "DOC-SENTENCES" of Liu et al. 2019 (RoBERTa),
// arXiv:1907.11692, section 4.2. Appends. Throws as plan_sentence_pairs.
void plan_segments(std::span<const uint32_t> sentence_offsets, int64_t max_seq_length, std::vector<PlannedSample>& samples);

// Takes tokens from the longer of the two, of equal ones from the second, at either end by chance, until they are `most` together. Source:
// truncate_seq_pair of the same script.
void truncate_pair(IndexRange& a, IndexRange& b, int64_t most, RandomStream& random);

}  // namespace mpibert
