#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/text/vocabulary.h"

namespace mpibert {

// A token that is found in the text before the text is split into words. One whose content the vocabulary has keeps that id; the others get
// the next ids behind the vocabulary, in order. Special tokens of the vocabulary ([UNK], [SEP], [PAD], [CLS], [MASK]) are added by
// themselves; to name one here changes its flags.
struct AddedToken {
  std::string content;
  bool special = true;                  // not matched if match_special_tokens is off
  bool normalized = false;              // look for the normalised content in normalised text, not for the content in the text as it stands
  bool single_word = false;             // only where no word character is next to it
  bool lstrip = false, rstrip = false;  // takes the white space before / after it
  bool operator==(const AddedToken&) const = default;
};

// Names and defaults of tokenizer_config.json.
struct TokenizerOptions {
  bool do_lower_case = true;
  std::optional<bool> strip_accents{};  // unset: same as do_lower_case
  bool tokenize_chinese_chars = true;
  bool clean_text = true;
  int64_t max_input_chars_per_word = 100;
  bool match_special_tokens = true;           // "[MASK]" in the text is the mask token; false: it is text like any other
  std::vector<AddedToken> added_tokens{};     // beside the five special ones
  bool clean_up_tokenization_spaces = false;  // decode() also joins contractions: "don ' t" becomes "don't"
};

// How a pair that is too long is cut, one token at a time or in closed form; they differ by which part loses the odd token.
enum class Truncation : uint8_t {
  kLongestFirst,     // the closed form of the tokenizers crate (Hugging Face's fast tokenizers)
  kLongestFirstPop,  // Google's: pops from the longer, on a tie from the second
  kOnlyFirst,
  kOnlySecond,
};

struct Span {
  int32_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

// The pieces of one text. Offsets are places in the text given, in Unicode scalars (characters) and in bytes; a token put there by the
// template, such as [CLS], has (0, 0) and word id -1.
struct Encoding {
  std::vector<int32_t> ids, type_ids, word_ids, special_tokens_mask;
  std::vector<Span> char_offsets, byte_offsets;
  bool operator==(const Encoding&) const = default;
};

// The WordPiece tokenizer of BERT, exactly as Hugging Face's BertTokenizerFast (tokenizers 0.22.2) computes it: clean, space Chinese
// characters, strip accents, lower, split at white space and punctuation, longest match first. Of ill-formed UTF-8 each maximal subpart is
// read as one U+FFFD (as Python's decode(errors="replace")), which cleaning removes. Texts have at most 2^30 bytes, else kInvalidArgument.
// Thread-safe: all functions are const.
class BertTokenizer {
 public:
  // Throws kInvalidArgument without [UNK], [CLS] or [SEP], or for an added token that can never be.
  BertTokenizer(Vocabulary vocabulary, TokenizerOptions options = {});
  // vocab.txt or else tokenizer.json, with the options of tokenizer.json and tokenizer_config.json (which wins) of a model folder, and the
  // added tokens of both and of added_tokens.json. Throws kNotFound, kCorrupt, and kInvalidArgument for a tokenizer that is not BERT's.
  static BertTokenizer from_model(const std::filesystem::path& folder);

  // Ids of one text, no special tokens, no truncation. Appends to `ids`: the fast path of the corpus.
  void append_ids(std::string_view text, std::vector<int32_t>& ids) const;
  std::vector<int32_t> ids(std::string_view text) const;

  // One text with all that is known of its tokens, no special tokens.
  Encoding encode(std::string_view text) const;
  // [CLS] a [SEP], or [CLS] a [SEP] b [SEP], cut to max_length tokens. Offsets and word ids of b count from the start of b. Throws
  // kInvalidArgument if max_length leaves no room for a token of the text, or if `truncation` may not cut what has to be cut.
  Encoding encode(std::string_view a, std::optional<std::string_view> b, int64_t max_length,
                  Truncation truncation = Truncation::kLongestFirst) const;

  // Text of tokens: words with a space between them, pieces joined, no space before . ? ! and the comma. Ids outside the vocabulary are
  // left out, and special tokens too if told. Lower case and lost accents do not come back.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  const Vocabulary& vocabulary() const;  // the one given, and behind it the added tokens that it lacks
  const TokenizerOptions& options() const;
  // tokenizer_config.json as transformers reads it.
  std::string config_json() const;

 private:
  struct Data;
  std::shared_ptr<const Data> data_;
};

// "un", "##like", "." → "unlike.": the WordPiece decoder of the tokenizers crate, with its cleanup of the spaces before punctuation;
// transformers' convert_tokens_to_string.
std::string join_pieces(std::span<const std::string> pieces);

// How many tokens of each part stay so that their sum is at most `budget`. kOnlyFirst and kOnlySecond throw kInvalidArgument where that
// part would lose all its tokens, as the tokenizers crate does.
struct PairLengths {
  int64_t first = 0, second = 0;
};
PairLengths truncated_lengths(int64_t first, int64_t second, int64_t budget, Truncation truncation);

}  // namespace mpibert
