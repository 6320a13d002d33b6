#include "mpibert/text/tokenizer.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "text/added_tokens.h"
#include "text/basic_tokenizer.h"
#include "text/model_files.h"
#include "text/word_builder.h"
#include "text/word_piece.h"
#include "text/word_scanner.h"

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

// Makes room for all tokens of an Encoding, then takes them.
class EncodingWriter {
 public:
  explicit EncodingWriter(size_t size) {
    const auto resize = [&](auto&... vectors) { (vectors.resize(size), ...); };
    resize(encoding_.ids, encoding_.type_ids, encoding_.word_ids, encoding_.special_tokens_mask, encoding_.char_offsets,
           encoding_.byte_offsets);
  }
  void add(std::span<const PlacedToken> tokens, int32_t type_id) {
    for (const PlacedToken& token : tokens) {
      encoding_.ids[next_] = token.id;
      encoding_.type_ids[next_] = type_id;
      encoding_.word_ids[next_] = token.word;
      encoding_.char_offsets[next_] = token.characters;
      encoding_.byte_offsets[next_] = token.bytes;
      ++next_;
    }
  }
  void add_special(int32_t id, int32_t type_id) {
    encoding_.special_tokens_mask[next_] = 1;
    const PlacedToken token{id, -1, {}, {}};
    add({&token, 1}, type_id);
  }
  Encoding take() { return std::move(encoding_); }

 private:
  Encoding encoding_;
  size_t next_ = 0;
};

}  // namespace

struct BertTokenizer::Data {
  Data(const Vocabulary& given, TokenizerOptions chosen)
      : options(std::move(chosen)),
        vocabulary(with_added_tokens(given, options)),
        basic(options),
        word_piece(given, options.max_input_chars_per_word),
        added(numbered(vocabulary, options), basic, options.match_special_tokens),
        scanner(basic, word_piece) {}

  std::vector<PlacedToken> tokens_of(std::string_view text) const;
  void append_normalised(const Characters& raw, Run run, int32_t& word, std::vector<PlacedToken>& tokens) const;

  TokenizerOptions options;
  Vocabulary vocabulary;
  BasicTokenizer basic;
  WordPiece word_piece;
  AddedTokens added;
  WordScanner scanner;
};

namespace {

// From the start of the first character to the end of the last.
PlacedToken token_of(const Characters& text, Run run, int32_t id, int32_t word) {
  const Character &first = text[run.begin], &last = text[run.end - 1];
  return {id, word, {first.characters.begin, last.characters.end}, {first.bytes.begin, last.bytes.end}};
}

}  // namespace

// No special tokens of the template.
std::vector<PlacedToken> BertTokenizer::Data::tokens_of(std::string_view text) const {
  check_length(text);
  std::vector<PlacedToken> tokens;
  tokens.reserve(text.size() / 4 + 8);
  int32_t word = 0;
  const bool has_added = added.occur_in(text);
  if (!has_added && !added.any_normalized()) {
    scanner.append_tokens(text, {}, word, tokens);
    return tokens;
  }
  Characters raw;
  raw.reserve(text.size());
  decode_text(text, {}, raw);
  const std::vector<TextSegment> segments = has_added ? added.split_raw(raw) : std::vector<TextSegment>{{-1, {0, raw.size()}}};
  for (const TextSegment& segment : segments) {
    if (segment.id >= 0) {
      tokens.push_back(token_of(raw, segment.run, segment.id, word++));
    } else if (added.any_normalized()) {
      append_normalised(raw, segment.run, word, tokens);
    } else {
      const Span bytes = token_of(raw, segment.run, -1, 0).bytes;
      const Place place = {bytes.begin, raw[segment.run.begin].characters.begin};
      scanner.append_tokens(text.substr(static_cast<size_t>(bytes.begin), static_cast<size_t>(bytes.end - bytes.begin)), place, word,
                            tokens);
    }
  }
  return tokens;
}

// Text between raw added tokens: normalises, takes the normalised added tokens out, splits the rest. These are found in normalised text, so
// nothing can be cut before: the rules one after the other, over all characters.
void BertTokenizer::Data::append_normalised(const Characters& raw, Run run, int32_t& word, std::vector<PlacedToken>& tokens) const {
  Characters text(raw.begin() + static_cast<ptrdiff_t>(run.begin), raw.begin() + static_cast<ptrdiff_t>(run.end));
  basic.normalise(text);
  for (const TextSegment& segment : added.split_normalized(text)) {
    if (segment.id >= 0) tokens.push_back(token_of(text, segment.run, segment.id, word++));
    else append_words(basic, word_piece, text, segment.run, word, tokens);
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
  if (!data_->added.any_normalized() && !data_->added.occur_in(text)) return data_->scanner.append_ids(text, ids);
  for (const PlacedToken& token : data_->tokens_of(text)) ids.push_back(token.id);
}

std::vector<int32_t> BertTokenizer::ids(std::string_view text) const {
  std::vector<int32_t> result;
  append_ids(text, result);
  return result;
}

Encoding BertTokenizer::encode(std::string_view text) const {
  const std::vector<PlacedToken> tokens = data_->tokens_of(text);
  EncodingWriter writer(tokens.size());
  writer.add(tokens, 0);
  return writer.take();
}

Encoding BertTokenizer::encode(std::string_view a, std::optional<std::string_view> b, int64_t max_length, Truncation truncation) const {
  const int64_t template_size = b ? 3 : 2, budget = max_length - template_size;
  MPIBERT_CHECK(budget > 0, kInvalidArgument, "max_length ", max_length,
                " leaves no room for text: ", b ? "[CLS] and two [SEP]" : "[CLS] and [SEP]", " take ", template_size, " tokens");
  const std::vector<PlacedToken> first = data_->tokens_of(a), second = b ? data_->tokens_of(*b) : std::vector<PlacedToken>{};
  const PairLengths kept = truncated_lengths(static_cast<int64_t>(first.size()), static_cast<int64_t>(second.size()), budget, truncation);
  const Vocabulary& tokens = data_->vocabulary;
  EncodingWriter writer(static_cast<size_t>(kept.first + kept.second + template_size));
  writer.add_special(tokens.cls_id(), 0);
  writer.add(std::span(first).first(static_cast<size_t>(kept.first)), 0);
  writer.add_special(tokens.sep_id(), 0);
  if (!b) return writer.take();
  writer.add(std::span(second).first(static_cast<size_t>(kept.second)), 1);
  writer.add_special(tokens.sep_id(), 1);
  return writer.take();
}

const Vocabulary& BertTokenizer::vocabulary() const { return data_->vocabulary; }
const TokenizerOptions& BertTokenizer::options() const { return data_->options; }
std::string BertTokenizer::config_json() const { return tokenizer_config_json(data_->options, data_->vocabulary); }

}  // namespace mpibert
