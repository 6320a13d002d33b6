#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "text/model_files.h"

namespace mpibert {

namespace {

using Json = nlohmann::ordered_json;

Json added_token(int32_t id, const AddedToken& token) {
  return {{"id", id},
          {"content", token.content},
          {"single_word", token.single_word},
          {"lstrip", token.lstrip},
          {"rstrip", token.rstrip},
          {"normalized", token.normalized},
          {"special", token.special}};
}

Json template_part(const char* kind, const char* id, int type_id) { return {{kind, {{"id", id}, {"type_id", type_id}}}}; }

// [CLS] A [SEP], and with a second text [CLS] A [SEP] B [SEP].
Json template_processing(const Vocabulary& vocabulary) {
  const Json single = {template_part("SpecialToken", "[CLS]", 0), template_part("Sequence", "A", 0),
                       template_part("SpecialToken", "[SEP]", 0)};
  Json pair = single;
  pair.push_back(template_part("Sequence", "B", 1));
  pair.push_back(template_part("SpecialToken", "[SEP]", 1));
  const auto special = [&](const char* token) { return Json{{"id", token}, {"ids", {vocabulary.id(token)}}, {"tokens", {token}}}; };
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", {{"[CLS]", special("[CLS]")}, {"[SEP]", special("[SEP]")}}}};
}

}  // namespace

std::string tokenizer_json(const TokenizerOptions& options, const Vocabulary& vocabulary, const std::string& wordpieces_prefix) {
  std::map<int32_t, AddedToken> added;
  for (const char* special : {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"})
    if (const int32_t id = vocabulary.id(special); id >= 0) added[id] = {.content = special};
  for (const AddedToken& token : options.added_tokens) added[vocabulary.id(token.content)] = token;
  Json added_tokens = Json::array(), vocab = Json::object();
  for (const auto& [id, token] : added) added_tokens.push_back(added_token(id, token));
  auto& entries = vocab.get_ref<Json::object_t&>();  // its operator[] looks through all that are there
  for (int32_t id = 0; id < vocabulary.size(); ++id) entries.emplace_back(vocabulary.token(id), id);
  const Json json = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens},
                     {"normalizer",
                      {{"type", "BertNormalizer"},
                       {"clean_text", options.clean_text},
                       {"handle_chinese_chars", options.tokenize_chinese_chars},
                       {"strip_accents", options.strip_accents ? Json(*options.strip_accents) : Json(nullptr)},
                       {"lowercase", options.do_lower_case}}},
                     {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                     {"post_processor", template_processing(vocabulary)},
                     {"decoder", {{"type", "WordPiece"}, {"prefix", wordpieces_prefix}, {"cleanup", true}}},
                     {"model",
                      {{"type", "WordPiece"},
                       {"unk_token", "[UNK]"},
                       {"continuing_subword_prefix", wordpieces_prefix},
                       {"max_input_chars_per_word", options.max_input_chars_per_word},
                       {"vocab", std::move(vocab)}}}};
  return json.dump(2);
}

}  // namespace mpibert
