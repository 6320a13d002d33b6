#include "mpibert/model/config.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, Activation>, 4> kActivations{{{"gelu", Activation::kGelu},
                                                                          {"gelu_new", Activation::kGeluTanh},
                                                                          {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                                                          {"relu", Activation::kRelu}}};

constexpr std::array<std::pair<const char*, PositionEmbedding>, 5> kPositionEmbeddings{
    {{"absolute", PositionEmbedding::kAbsolute},
     {"sinusoidal", PositionEmbedding::kSinusoidal},
     {"relative_key", PositionEmbedding::kRelativeKey},
     {"relative_key_query", PositionEmbedding::kRelativeKeyQuery},
     {"relative_key_value", PositionEmbedding::kRelativeKeyValue}}};

// The fields that mean something here: visit(key, member) for each. One list for reading and writing.
template <class Config, class Visit>
void for_each_field(Config& config, const Visit& visit) {
  visit("vocab_size", config.vocab_size);
  visit("hidden_size", config.hidden_size);
  visit("num_hidden_layers", config.num_hidden_layers);
  visit("num_attention_heads", config.num_attention_heads);
  visit("intermediate_size", config.intermediate_size);
  visit("max_position_embeddings", config.max_position_embeddings);
  visit("type_vocab_size", config.type_vocab_size);
  visit("hidden_act", config.hidden_act);
  visit("position_embedding_type", config.position_embedding_type);
  visit("hidden_dropout_prob", config.hidden_dropout_prob);
  visit("attention_probs_dropout_prob", config.attention_probs_dropout_prob);
  visit("classifier_dropout", config.classifier_dropout);
  visit("layer_norm_eps", config.layer_norm_eps);
  visit("initializer_range", config.initializer_range);
  visit("tie_word_embeddings", config.tie_word_embeddings);
  visit("embedding_layer_norm", config.embedding_layer_norm);
}

[[noreturn]] void refuse_kind(std::string_view where, std::string_view key, const char* expected, const json& found) {
  throw Error(ErrorKind::kCorrupt, str_cat(where, ": ", key, ": expected ", expected, ", found ", found.dump()));
}

void read(const json& value, std::string_view where, std::string_view key, int64_t& field) {
  if (!value.is_number_integer()) refuse_kind(where, key, "a whole number", value);
  field = value.get<int64_t>();
}

void read(const json& value, std::string_view where, std::string_view key, float& field) {
  if (!value.is_number()) refuse_kind(where, key, "a number", value);
  field = static_cast<float>(value.get<double>());
}

void read(const json& value, std::string_view where, std::string_view key, std::string& field) {
  if (!value.is_string()) refuse_kind(where, key, "a string", value);
  field = value.get<std::string>();
}

void read(const json& value, std::string_view where, std::string_view key, bool& field) {
  if (!value.is_boolean()) refuse_kind(where, key, "true or false", value);
  field = value.get<bool>();
}

void read(const json& value, std::string_view where, std::string_view key, std::optional<float>& field) {
  field.reset();
  if (!value.is_null()) read(value, where, key, field.emplace());
}

// The shortest decimal number that reads back as this float: 0.1, where a double of it would print 0.10000000149011612.
json number(float value) {
  std::array<char, 32> text{};
  char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double shortest = 0;
  std::from_chars(text.data(), end, shortest);
  return shortest;
}

json json_of(int64_t field) { return field; }
json json_of(bool field) { return field; }
json json_of(const std::string& field) { return field; }
json json_of(float field) { return number(field); }
json json_of(const std::optional<float>& field) { return field ? number(*field) : json(nullptr); }

// Keys that would change the computation: only the value named here is what this program computes.
void check_supported(const json& object, std::string_view where) {
  const auto only = [&](const char* key, const json& supported) {
    const auto found = object.find(key);
    MPIBERT_CHECK(found == object.end() || *found == supported, kInvalidArgument, where, ": ", key, " ", found->dump(),
                  " is not supported: expected ", supported.dump());
  };
  only("model_type", "bert");
  only("is_decoder", false);
  only("add_cross_attention", false);
  only("pruned_heads", json::object());
}

// MindSpore's BERT says whether tokens know their places by clipped distances, and else absolute ones.
void read_relative_positions(const json& object, std::string_view where, BertConfig& config) {
  bool relative = false;
  if (const auto found = object.find("use_relative_positions"); found != object.end())
    read(*found, where, "use_relative_positions", relative);
  if (!relative) return;
  MPIBERT_CHECK(!object.contains("position_embedding_type") || config.position_embedding_type == "relative_key_value", kInvalidArgument,
                where, ": use_relative_positions is true and position_embedding_type '", config.position_embedding_type,
                "'; expected 'relative_key_value' with it, or none");
  config.position_embedding_type = "relative_key_value";
}

// What `table` calls `name`, the value of `key`.
template <class Table>
auto named(const Table& table, const char* key, const std::string& name) {
  std::string known;
  for (const auto& [each, meaning] : table) {
    if (name == each) return meaning;
    known += (known.empty() ? "" : ", ") + std::string(each);
  }
  throw Error(ErrorKind::kInvalidArgument, str_cat(key, " '", name, "' is not supported: expected one of ", known));
}

}  // namespace

Activation BertConfig::activation() const { return named(kActivations, "hidden_act", hidden_act); }
PositionEmbedding BertConfig::position_embedding() const {
  return named(kPositionEmbeddings, "position_embedding_type", position_embedding_type);
}
bool BertConfig::has_distances() const {
  return position_embedding() != PositionEmbedding::kAbsolute && position_embedding() != PositionEmbedding::kSinusoidal;
}
DistanceUse BertConfig::distance_use() const {
  switch (position_embedding()) {
    case PositionEmbedding::kRelativeKeyQuery:
      return DistanceUse::kQueriesAndKeys;
    case PositionEmbedding::kRelativeKeyValue:
      return DistanceUse::kQueriesAndValues;
    default:
      return DistanceUse::kQueries;
  }
}

void check(const BertConfig& config) {
  for_each_field(config, [&](const char* key, const auto& field) {
    if constexpr (std::is_same_v<decltype(field), const int64_t&>) {
      const int64_t least = &field == &config.num_hidden_layers ? 0 : 1;
      MPIBERT_CHECK(field >= least && field < (int64_t{1} << 31), kInvalidArgument, key, " ", field, ": expected at least ", least,
                    " and less than 2^31");
    }
  });
  const auto probability = [](const char* key, float value) {
    MPIBERT_CHECK(value >= 0 && value < 1, kInvalidArgument, key, " ", value, ": expected 0 or more and less than 1");
  };
  probability("hidden_dropout_prob", config.hidden_dropout_prob);
  probability("attention_probs_dropout_prob", config.attention_probs_dropout_prob);
  probability("classifier_dropout", config.classifier_dropout.value_or(0));
  MPIBERT_CHECK(config.hidden_size % config.num_attention_heads == 0, kInvalidArgument, "hidden_size ", config.hidden_size,
                " is not a multiple of num_attention_heads ", config.num_attention_heads);
  MPIBERT_CHECK(config.layer_norm_eps >= 0, kInvalidArgument, "layer_norm_eps ", config.layer_norm_eps, ": expected 0 or more");
  MPIBERT_CHECK(config.initializer_range >= 0, kInvalidArgument, "initializer_range ", config.initializer_range, ": expected 0 or more");
  static_cast<void>(config.activation());
  static_cast<void>(config.position_embedding());
}

BertConfig config_from_json(std::string_view text, std::string_view where) {
  json object = json::parse(text, nullptr, false);
  MPIBERT_CHECK(object.is_object(), kCorrupt, where, ": expected a JSON object");
  check_supported(object, where);
  BertConfig config;
  for_each_field(config, [&](const char* key, auto& field) {
    if (const auto found = object.find(key); found != object.end()) read(*found, where, key, field);
  });
  read_relative_positions(object, where, config);
  for_each_field(config, [&](const char* key, auto&) { object.erase(key); });
  for (const auto& [key, value] : object.items()) config.other[key] = value.dump();
  try {
    check(config);
  } catch (const Error& error) {
    throw Error(error.kind(), str_cat(where, ": ", error.what()));
  }
  return config;
}

std::string config_to_json(const BertConfig& config) {
  json object = json::object();
  for (const auto& [key, value] : config.other) object[key] = json::parse(value);
  if (!object.contains("model_type")) object["model_type"] = "bert";
  for_each_field(config, [&](const char* key, const auto& field) {
    if (std::is_same_v<decltype(field), const bool&> && json_of(field) == json(true)) return;  // what every reader takes for granted
    object[key] = json_of(field);
  });
  return object.dump(2) + "\n";
}

BertConfig read_config(const std::filesystem::path& path) {
  constexpr size_t kLargest = size_t{1} << 24;
  return config_from_json(read_file(path, kLargest), path.string());
}

double training_flops(const BertConfig& config, int64_t tokens, double sum_of_squared_lengths, int64_t predictions) {
  const auto h = static_cast<double>(config.hidden_size), inner = static_cast<double>(config.intermediate_size);
  const auto t = static_cast<double>(tokens), p = static_cast<double>(predictions);
  const double in_attention = !config.has_distances() ? 12 : config.distance_use() == DistanceUse::kQueries ? 18 : 24;
  return static_cast<double>(config.num_hidden_layers) * (24 * h * h * t + 12 * h * inner * t + in_attention * h * sum_of_squared_lengths) +
         6 * p * (h * h + h * static_cast<double>(config.vocab_size));
}

std::vector<std::string> label_names_of(const BertConfig& config) {
  const auto found = config.other.find("id2label");
  if (found == config.other.end()) return {};
  const auto labels = nlohmann::json::parse(found->second, nullptr, false);
  std::vector<std::string> names;
  while (labels.is_object() && labels.contains(std::to_string(names.size())) && labels[std::to_string(names.size())].is_string())
    names.push_back(labels[std::to_string(names.size())].get<std::string>());
  return names;
}

}  // namespace mpibert
