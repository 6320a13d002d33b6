#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mpibert/text/tokenizer.h"

namespace mpibert {

inline constexpr int32_t kNoLabel = -100;  // of a token that says nothing of a word; transformers' and PyTorch's ignore_index

// One sequence [CLS] pieces [SEP] with words of a sentence. words[i] is the place in the sentence of the word whose first piece is token i
// and that is decided here; -1 elsewhere.
struct TokenFeature {
  std::vector<int32_t> input_ids, words;
};

// The pieces of each word by itself, as transformers' tokenizers take words (is_split_into_words). A word that the tokenizer makes nothing
// of, such as a lone U+200B, becomes [UNK], so that every word can be labelled (transformers loses it). A sentence of more than
// max_seq_length tokens is cut between words into windows that share about a quarter of their tokens; a word that lies in two is decided
// where it has more tokens on its shorter side, on a tie in the first. Of a word longer than a window the first pieces are taken. Throws
// kInvalidArgument for max_seq_length below 3.
std::vector<TokenFeature> token_features(const BertTokenizer& tokenizer, std::span<const std::string> words, int64_t max_seq_length);

}  // namespace mpibert
