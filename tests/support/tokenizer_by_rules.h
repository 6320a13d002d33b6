#pragma once

#include "mpibert/text/tokenizer.h"

namespace mpibert::test {

// The same tokenizer without its fast path: a normalised added token is found in normalised text, so all rules go over all characters, one
// rule after the other. Here it is one that no text has.
inline BertTokenizer tokenizer_by_rules(const Vocabulary& vocabulary, TokenizerOptions options) {
  options.added_tokens.push_back({.content = "\U0010FFFE\U0010FFFE\U0010FFFE\U0010FFFE", .special = false, .normalized = true});
  return BertTokenizer(vocabulary, options);
}

}  // namespace mpibert::test
