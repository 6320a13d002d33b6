#pragma once

#include <filesystem>
#include <string>

#include "mpibert/text/tokenizer.h"
#include "mpibert/text/vocabulary.h"

namespace mpibert {

// The tokenizer's files in a model folder, as Hugging Face writes them: vocab.txt, tokenizer.json, tokenizer_config.json,
// added_tokens.json. All functions throw kCorrupt for JSON that is not what it should be, with file and key, and kInvalidArgument for a
// tokenizer that is not BERT's.

// vocab.txt, or else model.vocab of tokenizer.json (ids that it leaves out are the empty token), or else vocab.json: the list of words of
// "Dive into Deep Learning", whose <pad>, <unk>, <cls>, <sep> and <mask> become BERT's. Throws kNotFound with none.
Vocabulary read_model_vocabulary(const std::filesystem::path& folder);

// Whether vocab.json is the only vocabulary there is: what no other program than the book's reads.
bool has_word_list(const std::filesystem::path& folder);

// Options: the normalizer of tokenizer.json if there is one, then the keys of tokenizer_config.json, which win. Added tokens come from
// tokenizer.json, added_tokens.json and tokenizer_config.json, in the order of their ids; those that are the five special ones with their
// usual flags are left out.
TokenizerOptions read_tokenizer_options(const std::filesystem::path& folder, const Vocabulary& vocabulary);

// tokenizer_config.json of these options; `vocabulary` has the ids of all added tokens.
std::string tokenizer_config_json(const TokenizerOptions& options, const Vocabulary& vocabulary);

// tokenizer.json as the tokenizers crate reads it and BertTokenizerFast saves it, with [CLS] and [SEP] around texts.
std::string tokenizer_json(const TokenizerOptions& options, const Vocabulary& vocabulary, const std::string& wordpieces_prefix = "##");

}  // namespace mpibert
