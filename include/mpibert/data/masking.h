#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mpibert/base/random.h"
#include "mpibert/data/schema.h"
#include "mpibert/text/vocabulary.h"

namespace mpibert {

// Names and defaults of the reference script.
struct MaskingOptions {
  double masked_lm_prob = 0.15;
  int64_t max_predictions_per_seq = 20;  // 20 for 128 tokens, 80 for 512
  bool do_whole_word_mask = false;       // a piece that begins with ## is masked together with the piece before it
};

// Masked-LM labels. Source: google-research/bert, create_pretraining_data.py, create_masked_lm_predictions.
//   n = min(max_predictions_per_seq, max(1, round(masked_lm_prob * length))), half to even, length with [CLS] and [SEP]
// Candidates are all tokens but [CLS] and [SEP], in random order; whole words that would exceed n are passed over. Each chosen token
// becomes [MASK] (80 %), stays (10 %), or becomes any id of the vocabulary (10 %).
class Masker {
 public:
  Masker(const Vocabulary& vocabulary, MaskingOptions options);  // throws kInvalidArgument without [MASK], [CLS], [SEP], or out of range

  // Changes input_ids and adds the labels masked_lm_positions (ascending) and masked_lm_ids in front of those there are.
  // Throws kInvalidArgument if the sample is masked already.
  void mask(Sample& sample, RandomStream random) const;
  // The stream of dynamic masking: new masks each epoch, the same on any rank. sample_id < 2^40, epoch < 2^24.
  void mask_dynamically(Sample& sample, uint64_t seed, int64_t epoch) const;
  const MaskingOptions& options() const { return options_; }
  int64_t vocabulary_size() const;

 private:
  struct Tokens;
  std::shared_ptr<const Tokens> tokens_;
  MaskingOptions options_;
};

// The two labels, in order.
Schema masked_lm_labels();

}  // namespace mpibert
