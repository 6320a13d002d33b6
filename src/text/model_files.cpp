#include "text/model_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/parse_number.h"

namespace mpibert {

namespace {

using Json = nlohmann::json;  // what is read: an ordered object looks each key up among all before it, and there may be 100,000
using OrderedJson = nlohmann::ordered_json;  // what is written
using AddedById = std::map<int64_t, AddedToken>;

constexpr size_t kMaxJsonBytes = 256 << 20;
constexpr int64_t kMaxId = 1 << 24;
constexpr std::array kSpecialTokens = {std::pair{"unk_token", "[UNK]"}, std::pair{"sep_token", "[SEP]"}, std::pair{"pad_token", "[PAD]"},
                                       std::pair{"cls_token", "[CLS]"}, std::pair{"mask_token", "[MASK]"}};
// Tokenizers of transformers that are BERT's under another name.
constexpr std::array kClasses = {"BertTokenizer",           "BertTokenizerFast",    "DistilBertTokenizer", "DistilBertTokenizerFast",
                                 "ElectraTokenizer",        "ElectraTokenizerFast", "MobileBertTokenizer", "MobileBertTokenizerFast",
                                 "PreTrainedTokenizerFast", "TokenizersBackend"};

// A JSON object of a file, with the path in every complaint.
class Object {
 public:
  Object(std::string where, const Json& json) : where_(std::move(where)), json_(&json) {
    MPIBERT_CHECK(json.is_object(), kCorrupt, where_, " is ", json.type_name(), "; expected an object");
  }
  const std::string& where() const { return where_; }
  // The value of a key; nothing if it is absent or null.
  const Json* find(const char* key) const {
    const auto found = json_->find(key);
    return found == json_->end() || found->is_null() ? nullptr : &*found;
  }
  std::optional<Object> object(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return std::nullopt;
    return Object(where_ + ": " + key, *value);
  }
  const Json* array(const char* key) const { return typed(key, &Json::is_array, "an array"); }
  std::optional<bool> boolean(const char* key) const { return get<bool>(typed(key, &Json::is_boolean, "true or false")); }
  std::optional<int64_t> integer(const char* key) const { return get<int64_t>(typed(key, &Json::is_number_integer, "an integer")); }
  std::optional<std::string> string(const char* key) const { return get<std::string>(typed(key, &Json::is_string, "a string")); }
  const Json& json() const { return *json_; }

 private:
  const Json* typed(const char* key, bool (Json::*is)() const noexcept, const char* expected) const {
    const Json* value = find(key);
    MPIBERT_CHECK(value == nullptr || (value->*is)(), kCorrupt, where_, ": ", key, " is ", value ? value->type_name() : "", "; expected ",
                  expected);
    return value;
  }
  template <class T>
  static std::optional<T> get(const Json* value) {
    return value == nullptr ? std::nullopt : std::optional<T>(value->get<T>());
  }
  std::string where_;
  const Json* json_;
};

std::optional<Json> read_json(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    return Json::parse(read_file(path, kMaxJsonBytes));
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(path.string(), " is not JSON: ", error.what()));
  }
}

void check_is(const Object& object, const char* key, std::string_view expected) {
  const std::string found = object.string(key).value_or("nothing");
  MPIBERT_CHECK(found == expected, kInvalidArgument, object.where(), ": ", key, " is ", found, "; only a BERT tokenizer, with ", expected,
                ", can be used");
}

int64_t checked_id(int64_t id, const std::string& where) {
  MPIBERT_CHECK(id >= 0 && id < kMaxId, kCorrupt, where, " has the id ", id, ", which is outside 0 .. ", kMaxId - 1);
  return id;
}

AddedToken parse_added_token(const Object& object) {
  AddedToken token;
  token.content = object.string("content").value_or("");
  token.special = object.boolean("special").value_or(false);
  token.normalized = object.boolean("normalized").value_or(!token.special);
  token.single_word = object.boolean("single_word").value_or(false);
  token.lstrip = object.boolean("lstrip").value_or(false);
  token.rstrip = object.boolean("rstrip").value_or(false);
  return token;
}

// What tokenizer.json says, after the checks that it is a BERT tokenizer.
void read_tokenizer_json(const Object& file, TokenizerOptions& options, AddedById& added) {
  if (const auto model = file.object("model")) options.max_input_chars_per_word = model->integer("max_input_chars_per_word").value_or(100);
  if (const auto normalizer = file.object("normalizer")) {
    check_is(*normalizer, "type", "BertNormalizer");
    options.clean_text = normalizer->boolean("clean_text").value_or(true);
    options.tokenize_chinese_chars = normalizer->boolean("handle_chinese_chars").value_or(true);
    options.do_lower_case = normalizer->boolean("lowercase").value_or(true);
    options.strip_accents = normalizer->boolean("strip_accents");
  } else {
    options.clean_text = options.tokenize_chinese_chars = options.do_lower_case = false;
  }
  const auto pre_tokenizer = file.object("pre_tokenizer");
  MPIBERT_CHECK(pre_tokenizer, kInvalidArgument, file.where(),
                ": pre_tokenizer is null; only a BERT tokenizer, with BertPreTokenizer, can be used");
  check_is(*pre_tokenizer, "type", "BertPreTokenizer");
  if (const Json* tokens = file.array("added_tokens")) {
    for (const Json& json : *tokens) {
      const Object token(file.where() + ": added_tokens", json);
      added[checked_id(token.integer("id").value_or(-1), token.where())] = parse_added_token(token);
    }
  }
}

void read_added_tokens_json(const Object& file, AddedById& added) {
  for (const auto& [content, id] : file.json().items()) {
    MPIBERT_CHECK(id.is_number_integer(), kCorrupt, file.where(), ": ", content, " is ", id.type_name(), "; expected an id");
    added[checked_id(id.get<int64_t>(), file.where() + ": " + content)] = {.content = content, .special = false, .normalized = true};
  }
}

void read_added_tokens_decoder(const Object& decoder, AddedById& added) {
  for (const auto& [key, json] : decoder.json().items()) {
    const std::optional<int64_t> id = parse_number<int64_t>(key);
    MPIBERT_CHECK(id, kCorrupt, decoder.where(), ": ", key, " is no token id");
    added[checked_id(*id, decoder.where())] = parse_added_token(Object(decoder.where() + ": " + key, json));
  }
}

void check_special_names(const Object& config) {
  for (const auto& [key, expected] : kSpecialTokens) {
    const Json* value = config.find(key);
    if (value == nullptr) continue;
    const std::string found = value->is_object() ? parse_added_token(*config.object(key)).content : *config.string(key);
    MPIBERT_CHECK(found == expected, kInvalidArgument, config.where(), ": ", key, " is ", found, "; only BERT's ", expected,
                  " can be used");
  }
}

void read_tokenizer_config(const Object& config, TokenizerOptions& options, AddedById& added) {
  if (const auto name = config.string("tokenizer_class"))
    MPIBERT_CHECK(std::find(kClasses.begin(), kClasses.end(), *name) != kClasses.end(), kInvalidArgument, config.where(),
                  ": tokenizer_class is ", *name, ", which is not BERT's tokenizer");
  check_special_names(config);
  options.do_lower_case = config.boolean("do_lower_case").value_or(options.do_lower_case);
  if (config.json().contains("strip_accents")) options.strip_accents = config.boolean("strip_accents");
  options.tokenize_chinese_chars = config.boolean("tokenize_chinese_chars").value_or(options.tokenize_chinese_chars);
  options.clean_text = config.boolean("clean_text").value_or(options.clean_text);
  options.max_input_chars_per_word = config.integer("max_input_chars_per_word").value_or(options.max_input_chars_per_word);
  options.clean_up_tokenization_spaces = config.boolean("clean_up_tokenization_spaces").value_or(options.clean_up_tokenization_spaces);
  options.match_special_tokens = !config.boolean("split_special_tokens").value_or(!options.match_special_tokens);
  if (const auto decoder = config.object("added_tokens_decoder")) read_added_tokens_decoder(*decoder, added);
}

// Those of additional_special_tokens that no list with ids has: they get ids behind all others, in the order of the file.
void append_additional(const Object& config, std::vector<AddedToken>& tokens) {
  const Json* additional = config.array("additional_special_tokens");
  if (additional == nullptr) return;
  for (const Json& json : *additional) {
    AddedToken token;
    if (json.is_string()) {
      token.content = json.get<std::string>();
    } else {
      token = parse_added_token(Object(config.where() + ": additional_special_tokens", json));
      token.special = true;
    }
    if (std::none_of(tokens.begin(), tokens.end(), [&](const AddedToken& known) { return known.content == token.content; }))
      tokens.push_back(token);
  }
}

bool is_usual_special(const AddedToken& token) {
  return std::any_of(kSpecialTokens.begin(), kSpecialTokens.end(),
                     [&](const auto& special) { return token == AddedToken{.content = special.second}; });
}

// Added tokens in the order of their ids, each with the id that the tokenizer will give it.
std::vector<AddedToken> in_order(const AddedById& added, const Vocabulary& vocabulary, const std::filesystem::path& folder) {
  std::vector<AddedToken> tokens;
  int64_t next = vocabulary.size();
  for (const auto& [id, token] : added) {
    const int64_t known = vocabulary.id(token.content);
    const int64_t expected = known >= 0 ? known : next++;
    MPIBERT_CHECK(id == expected, kCorrupt, folder.string(), ": the added token ", token.content, " has the id ", id,
                  ", but with this vocabulary of ", vocabulary.size(), " tokens it would be ", expected,
                  "; the files are not of one model");
    if (!is_usual_special(token)) tokens.push_back(token);
  }
  return tokens;
}

OrderedJson added_token_json(const AddedToken& token) {
  return {{"content", token.content}, {"lstrip", token.lstrip},           {"normalized", token.normalized},
          {"rstrip", token.rstrip},   {"single_word", token.single_word}, {"special", token.special}};
}

// A vocabulary of whole words: longest match first takes a word as it stands or not at all, where no token begins with ##.
Vocabulary read_word_list(const std::filesystem::path& path, const Json& list) {
  constexpr std::array kTheirs = {std::pair{"<pad>", "[PAD]"}, std::pair{"<unk>", "[UNK]"}, std::pair{"<cls>", "[CLS]"},
                                  std::pair{"<sep>", "[SEP]"}, std::pair{"<mask>", "[MASK]"}};
  MPIBERT_CHECK(list.is_array(), kCorrupt, path.string(), " is ", list.type_name(),
                "; expected a list of tokens, as \"Dive into Deep Learning\" has it");
  std::vector<std::string> tokens;
  for (const Json& token : list) {
    MPIBERT_CHECK(token.is_string(), kCorrupt, path.string(), ": token ", tokens.size(), " is ", token.type_name(), "; expected a string");
    tokens.push_back(token.get<std::string>());
    for (const auto& [theirs, ours] : kTheirs) {
      if (tokens.back() == theirs) tokens.back() = ours;
    }
  }
  Vocabulary vocabulary = Vocabulary::from_tokens(std::move(tokens));
  for (const auto& [theirs, ours] : kTheirs) MPIBERT_CHECK(vocabulary.id(ours) >= 0, kCorrupt, path.string(), " lacks ", theirs);
  return vocabulary;
}

}  // namespace

bool has_word_list(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "vocab.json") && !std::filesystem::exists(folder / "vocab.txt") &&
         !std::filesystem::exists(folder / "tokenizer.json");
}

Vocabulary read_model_vocabulary(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "vocab.txt")) return Vocabulary::from_file(folder / "vocab.txt");
  if (has_word_list(folder)) return read_word_list(folder / "vocab.json", *read_json(folder / "vocab.json"));
  const std::filesystem::path path = folder / "tokenizer.json";
  const std::optional<Json> json = read_json(path);
  MPIBERT_CHECK(json, kNotFound, folder.string(),
                " has neither vocab.txt nor tokenizer.json (nor vocab.json, a list of whole words); a model folder has one of them");
  const auto model = Object(path.string(), *json).object("model");
  MPIBERT_CHECK(model, kCorrupt, path.string(), " has no model");
  check_is(*model, "type", "WordPiece");
  check_is(*model, "unk_token", "[UNK]");
  check_is(*model, "continuing_subword_prefix", "##");
  const auto vocab = model->object("vocab");
  MPIBERT_CHECK(vocab && !vocab->json().empty(), kCorrupt, path.string(), ": model.vocab is absent or empty");
  std::vector<std::string> tokens;
  for (const auto& [token, id] : vocab->json().items()) {
    MPIBERT_CHECK(id.is_number_integer(), kCorrupt, vocab->where(), ": ", token, " is ", id.type_name(), "; expected an id");
    const auto place = static_cast<size_t>(checked_id(id.get<int64_t>(), vocab->where() + ": " + token));
    if (place >= tokens.size()) tokens.resize(place + 1);
    MPIBERT_CHECK(tokens[place].empty(), kCorrupt, vocab->where(), ": ", token, " and ", tokens[place], " have the same id ", place);
    tokens[place] = token;
  }
  Vocabulary vocabulary = Vocabulary::from_tokens(std::move(tokens));
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]"})
    MPIBERT_CHECK(vocabulary.id(token) >= 0, kCorrupt, vocab->where(), " lacks ", token, ", which every BERT vocabulary has");
  return vocabulary;
}

TokenizerOptions read_tokenizer_options(const std::filesystem::path& folder, const Vocabulary& vocabulary) {
  TokenizerOptions options;
  AddedById added;
  const std::filesystem::path config_path = folder / "tokenizer_config.json", tokenizer_path = folder / "tokenizer.json";
  if (has_word_list(folder)) options.strip_accents = options.tokenize_chinese_chars = false;  // words are only lower-cased
  if (const auto json = read_json(tokenizer_path)) read_tokenizer_json(Object(tokenizer_path.string(), *json), options, added);
  const std::filesystem::path added_path = folder / "added_tokens.json";
  if (const auto json = read_json(added_path)) read_added_tokens_json(Object(added_path.string(), *json), added);
  const auto config = read_json(config_path);
  if (config) read_tokenizer_config(Object(config_path.string(), *config), options, added);
  options.added_tokens = in_order(added, vocabulary, folder);
  if (config) append_additional(Object(config_path.string(), *config), options.added_tokens);
  return options;
}

std::string tokenizer_config_json(const TokenizerOptions& options, const Vocabulary& vocabulary) {
  std::map<int32_t, AddedToken> added;
  for (const auto& special : kSpecialTokens)
    if (const int32_t id = vocabulary.id(special.second); id >= 0) added[id] = {.content = special.second};
  for (const AddedToken& token : options.added_tokens) added[vocabulary.id(token.content)] = token;
  OrderedJson decoder = OrderedJson::object();
  for (const auto& [id, token] : added) decoder[std::to_string(id)] = added_token_json(token);
  OrderedJson json = {{"added_tokens_decoder", decoder},
                      {"clean_text", options.clean_text},
                      {"clean_up_tokenization_spaces", options.clean_up_tokenization_spaces},
                      {"do_lower_case", options.do_lower_case},
                      {"max_input_chars_per_word", options.max_input_chars_per_word},
                      {"split_special_tokens", !options.match_special_tokens},
                      {"strip_accents", options.strip_accents ? OrderedJson(*options.strip_accents) : OrderedJson(nullptr)},
                      {"tokenize_chinese_chars", options.tokenize_chinese_chars},
                      {"tokenizer_class", "BertTokenizer"}};
  for (const auto& [key, token] : kSpecialTokens) json[key] = token;
  return json.dump(2) + "\n";
}

}  // namespace mpibert
