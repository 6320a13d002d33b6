#include "mpibert/text/tokenizer.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "text/added_tokens.h"
#include "text/basic_tokenizer.h"
#include "text/id_scanner.h"
#include "text/model_files.h"
#include "text/unicode.h"
#include "text/word_piece.h"

namespace mpibert {

namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // places are int32_t
constexpr const char* kSpecialTokens[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};

Vocabulary with_added_tokens(const Vocabulary& vocabulary, const TokenizerOptions& options) {
  std::vector<std::string> tokens;
  for (const AddedToken& added : options.added_tokens)
    if (vocabulary.id(added.content) < 0) tokens.push_back(added.content);
  if (tokens.empty()) return vocabulary;
  tokens.insert(tokens.begin(), vocabulary.tokens().begin(), vocabulary.tokens().end());
  return Vocabulary::from_tokens(std::move(tokens));
}

// The special tokens of the vocabulary, then the added ones, special ones first, with their ids.
std::vector<AddedTokens::Numbered> numbered(const Vocabulary& vocabulary, const TokenizerOptions& options) {
  std::vector<AddedTokens::Numbered> tokens;
  for (const char* content : kSpecialTokens)
    if (const int32_t id = vocabulary.id(content); id >= 0) tokens.push_back({{.content = content}, id});
  for (const AddedToken& added : options.added_tokens) {
    const auto same = std::find_if(tokens.begin(), tokens.end(), [&](const auto& known) { return known.token.content == added.content; });
    if (same != tokens.end()) same->token = added;
    else tokens.push_back({added, vocabulary.id(added.content)});
  }
  std::stable_partition(tokens.begin(), tokens.end(), [](const auto& numbered_token) { return numbered_token.token.special; });
  return tokens;
}

void check_length(std::string_view text) {
  MPIBERT_CHECK(text.size() <= kMaxTextBytes, kInvalidArgument, "a text of ", text.size(), " bytes is longer than ", kMaxTextBytes,
                "; cut it at line ends");
}

void push(Encoding& encoding, int32_t id, int32_t type_id, int32_t word_id, bool is_special, Span characters, Span bytes) {
  encoding.ids.push_back(id);
  encoding.type_ids.push_back(type_id);
  encoding.word_ids.push_back(word_id);
  encoding.special_tokens_mask.push_back(is_special);
  encoding.char_offsets.push_back(characters);
  encoding.byte_offsets.push_back(bytes);
}

void push_part(Encoding& encoding, const Encoding& part, size_t length, int32_t type_id) {
  for (size_t i = 0; i < length; ++i)
    push(encoding, part.ids[i], type_id, part.word_ids[i], part.special_tokens_mask[i] != 0, part.char_offsets[i], part.byte_offsets[i]);
}

}  // namespace

struct BertTokenizer::Data {
  Data(const Vocabulary& given, TokenizerOptions chosen)
      : options(std::move(chosen)),
        vocabulary(with_added_tokens(given, options)),
        basic(options),
        word_piece(given, options.max_input_chars_per_word),
        added(numbered(vocabulary, options), basic, options.match_special_tokens),
        scanner(basic, word_piece, options) {}

  void encode_raw(const Characters& raw, Run run, Encoding& encoding, int32_t& word_id) const;
  void encode_words(const Characters& text, Run run, Encoding& encoding, int32_t& word_id) const;

  TokenizerOptions options;
  Vocabulary vocabulary;
  BasicTokenizer basic;
  WordPiece word_piece;
  AddedTokens added;
  IdScanner scanner;
};

namespace {

// Offsets of characters [begin, end): from the start of the first to the end of the last.
void push_run(Encoding& encoding, const Characters& text, Run run, int32_t id, int32_t word_id) {
  const Character &first = text[run.begin], &last = text[run.end - 1];
  push(encoding, id, 0, word_id, false, {first.characters.begin, last.characters.end}, {first.bytes.begin, last.bytes.end});
}

}  // namespace

// Text between raw added tokens: normalises, takes the normalised added tokens out, splits the rest.
void BertTokenizer::Data::encode_raw(const Characters& raw, Run run, Encoding& encoding, int32_t& word_id) const {
  Characters text(raw.begin() + static_cast<ptrdiff_t>(run.begin), raw.begin() + static_cast<ptrdiff_t>(run.end));
  basic.normalise(text);
  if (!added.any_normalized()) return encode_words(text, {0, text.size()}, encoding, word_id);
  for (const TextSegment& segment : added.split_normalized(text)) {
    if (segment.id >= 0) push_run(encoding, text, segment.run, segment.id, word_id++);
    else encode_words(text, segment.run, encoding, word_id);
  }
}

void BertTokenizer::Data::encode_words(const Characters& text, Run run, Encoding& encoding, int32_t& word_id) const {
  std::vector<Run> words;
  basic.split(text, run, words);
  std::string word;
  std::vector<TokenPiece> pieces;
  for (const Run& place : words) {
    word.clear();
    pieces.clear();
    for (size_t i = place.begin; i < place.end; ++i) unicode::append_utf8(text[i].value, word);
    word_piece.split(word, pieces);
    size_t begin = place.begin;
    for (const TokenPiece& piece : pieces) {  // from bytes of the word back to its characters
      const auto is_lead = [](char byte) { return (byte & 0xC0) != 0x80; };
      const size_t end = begin + static_cast<size_t>(std::count_if(word.begin() + piece.begin, word.begin() + piece.end, is_lead));
      push_run(encoding, text, {begin, end}, piece.id, word_id);
      begin = end;
    }
    ++word_id;
  }
}

BertTokenizer::BertTokenizer(Vocabulary vocabulary, TokenizerOptions options) {
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]"})
    MPIBERT_CHECK(vocabulary.id(token) >= 0, kInvalidArgument, "the vocabulary has no ", token, ", which a BERT tokenizer needs");
  MPIBERT_CHECK(options.max_input_chars_per_word > 0, kInvalidArgument, "max_input_chars_per_word is ", options.max_input_chars_per_word,
                "; it has to be positive");
  data_ = std::make_shared<const Data>(vocabulary, std::move(options));
}

BertTokenizer BertTokenizer::from_model(const std::filesystem::path& folder) {
  const Vocabulary vocabulary = read_model_vocabulary(folder);
  return BertTokenizer(vocabulary, read_tokenizer_options(folder, vocabulary));
}

void BertTokenizer::append_ids(std::string_view text, std::vector<int32_t>& ids) const {
  check_length(text);
  if (data_->added.any_normalized()) {  // these are found in normalised text, so nothing can be cut before
    const Encoding encoding = encode(text);
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
    return;
  }
  if (!data_->added.occur_in(text)) return data_->scanner.append_ids(text, ids);
  Characters raw;
  decode_text(text, {}, raw);
  for (const TextSegment& segment : data_->added.split_raw(raw)) {
    const auto begin = static_cast<size_t>(raw[segment.run.begin].bytes.begin), end = static_cast<size_t>(raw[segment.run.end - 1].bytes.end);
    if (segment.id >= 0) ids.push_back(segment.id);
    else data_->scanner.append_ids(text.substr(begin, end - begin), ids);
  }
}

std::vector<int32_t> BertTokenizer::ids(std::string_view text) const {
  std::vector<int32_t> result;
  append_ids(text, result);
  return result;
}

Encoding BertTokenizer::encode(std::string_view text) const {
  check_length(text);
  Characters raw;
  raw.reserve(text.size());
  decode_text(text, {}, raw);
  Encoding encoding;
  int32_t word_id = 0;
  if (!data_->added.occur_in(text)) {
    data_->encode_raw(raw, {0, raw.size()}, encoding, word_id);
    return encoding;
  }
  for (const TextSegment& segment : data_->added.split_raw(raw)) {
    if (segment.id >= 0) push_run(encoding, raw, segment.run, segment.id, word_id++);
    else data_->encode_raw(raw, segment.run, encoding, word_id);
  }
  return encoding;
}

Encoding BertTokenizer::encode(std::string_view a, std::optional<std::string_view> b, int64_t max_length, Truncation truncation) const {
  const int64_t budget = max_length - (b ? 3 : 2);
  MPIBERT_CHECK(budget > 0, kInvalidArgument, "max_length ", max_length, " leaves no room for text: ", b ? "[CLS] and two [SEP]" : "[CLS] and [SEP]",
                " take ", max_length - budget, " tokens");
  const Encoding first = encode(a), second = b ? encode(*b) : Encoding{};
  const PairLengths kept =
      truncated_lengths(static_cast<int64_t>(first.ids.size()), static_cast<int64_t>(second.ids.size()), budget, truncation);
  Encoding result;
  const Vocabulary& tokens = data_->vocabulary;
  push(result, tokens.cls_id(), 0, -1, true, {}, {});
  push_part(result, first, static_cast<size_t>(kept.first), 0);
  push(result, tokens.sep_id(), 0, -1, true, {}, {});
  if (!b) return result;
  push_part(result, second, static_cast<size_t>(kept.second), 1);
  push(result, tokens.sep_id(), 1, -1, true, {}, {});
  return result;
}

const Vocabulary& BertTokenizer::vocabulary() const { return data_->vocabulary; }
const TokenizerOptions& BertTokenizer::options() const { return data_->options; }
std::string BertTokenizer::config_json() const { return tokenizer_config_json(data_->options, data_->vocabulary); }

}  // namespace mpibert
