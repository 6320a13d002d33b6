#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mpibert/text/vocabulary.h"
#include "mpibert/text/word_counts.h"

namespace mpibert {

// Names and defaults of BertWordPieceTokenizer.train of the tokenizers crate, but for vocab_size, which is that of BERT's English
// vocabulary (30000 there).
struct VocabularyTrainerOptions {
  int64_t vocab_size = 30522;      // tokens at most
  int64_t min_frequency = 2;       // pairs that occur less often are not joined
  int64_t limit_alphabet = 1000;   // characters at most; the others are left out of the words
  std::string initial_alphabet{};  // characters that are in the alphabet whether they occur or not
  std::vector<std::string> special_tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};  // the first ids
  std::string wordpieces_prefix = "##";  // of a token that continues a word; BertTokenizer knows "##" alone
};

// WordPiece as WordPieceTrainer of the tokenizers crate 0.22.2 trains it: byte-pair encoding (Sennrich, Haddow, Birch 2016,
// arXiv:1508.07909) of words cut into characters, the second and later ones with the prefix. The ids: special tokens; the alphabet by code
// point; the alphabet with the prefix; then what joining the most frequent pair makes, again and again, until there are vocab_size tokens
// or no pair occurs min_frequency times. Among equally frequent pairs that of the smaller ids comes first.
//
// The crate leaves three things to the order of its hash tables, which differs from run to run; here they are fixed:
//   - characters with the prefix get their ids by code point (there: as they come). This decides between pairs of equal frequency, and so
//     what the last tokens are;
//   - of equally frequent characters limit_alphabet keeps the smaller code points;
//   - where one pair waits twice in the queue with one count, the entry made first is taken first.
// Given the same ids of those characters, as special tokens, the crate makes the same vocabulary. Counts have 64 bits here and 32 there.
//
// The result is a function of the counts and the options. Throws kInvalidArgument for no words; for special tokens without [UNK], [CLS] or
// [SEP], empty ones, and such as vocab.txt cannot hold; for text that is not UTF-8; and for a vocab_size that has no room for the special
// tokens and the alphabet.
Vocabulary train_vocabulary(const WordCounts& words, const VocabularyTrainerOptions& options = {});

}  // namespace mpibert
