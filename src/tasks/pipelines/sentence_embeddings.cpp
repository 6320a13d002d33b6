#include <algorithm>
#include <array>
#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

enum class Pooling : uint8_t { kMean, kCls, kMax };

struct Settings {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;
  int64_t max_seq_length = 0;  // 0: the folder does not say
};

Pooling pooling_of(const nlohmann::json& config, const std::filesystem::path& path) {
  constexpr std::array<std::pair<const char*, Pooling>, 3> kKnown = {{{"pooling_mode_mean_tokens", Pooling::kMean},
                                                                      {"pooling_mode_cls_token", Pooling::kCls},
                                                                      {"pooling_mode_max_tokens", Pooling::kMax}}};
  std::optional<Pooling> found;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_") || value != true) continue;
    const auto known = std::ranges::find_if(kKnown, [&](const auto& each) { return each.first == key; });
    MPIBERT_CHECK(known != kKnown.end() && !found, kInvalidArgument, path.string(), ": ", key,
                  " is not among what can be pooled by: one of mean, cls and max tokens; choose with --pooling");
    found = known->second;
  }
  MPIBERT_CHECK(found, kInvalidArgument, path.string(), ": no pooling_mode is true; choose with --pooling");
  return *found;
}

std::string text_in(const nlohmann::json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

// What a folder of sentence-transformers says of itself: modules.json and the files it names.
Settings settings_of(const std::filesystem::path& folder, bool wants_pooling) {
  Settings settings;
  const nlohmann::json bert = json_file(folder / "sentence_bert_config.json");
  if (bert.is_object() && bert.contains("max_seq_length") && bert["max_seq_length"].is_number_integer())
    settings.max_seq_length = bert["max_seq_length"].get<int64_t>();
  const nlohmann::json modules = json_file(folder / "modules.json");
  if (!modules.is_array()) return settings;
  for (const nlohmann::json& module : modules) {
    const std::string type = text_in(module, "type"), kind = type.substr(type.rfind('.') + 1);
    const std::filesystem::path path = folder / text_in(module, "path");
    if (kind == "Normalize") settings.normalize = true;
    else if (kind == "Pooling" && wants_pooling) settings.pooling = pooling_of(json_file(path / "config.json"), path);
    else
      MPIBERT_CHECK(kind == "Transformer" || kind == "Pooling", kInvalidArgument, folder.string(), ": modules.json has a module '", type,
                    "', which cannot be computed; Transformer, Pooling and Normalize can");
  }
  return settings;
}

Settings chosen(const PipelineModel& model, const PipelineOptions& options) {
  Settings settings = settings_of(model.folder, options.pooling == "auto");
  if (options.pooling != "auto")
    settings.pooling = options.pooling == "mean" ? Pooling::kMean : options.pooling == "cls" ? Pooling::kCls : Pooling::kMax;
  if (options.normalize != "auto") settings.normalize = options.normalize == "true";
  return settings;
}

// [S, H] -> [H]
std::vector<float> pooled(const Settings& settings, std::span<const float> hidden, size_t width) {
  std::vector<double> sums(hidden.begin(), hidden.begin() + static_cast<ptrdiff_t>(width));  // of the first token, [CLS]
  for (size_t at = width; at < hidden.size() && settings.pooling != Pooling::kCls; at += width) {
    for (size_t i = 0; i < width; ++i) {
      const double value = hidden[at + i];
      sums[i] = settings.pooling == Pooling::kMax ? std::max(sums[i], value) : sums[i] + value;
    }
  }
  double scale = settings.pooling == Pooling::kMean ? static_cast<double>(width) / static_cast<double>(hidden.size()) : 1.0;
  if (settings.normalize) {
    constexpr double kSmallest = 1e-12;  // of torch.nn.functional.normalize
    double squares = 0;
    for (const double sum : sums) squares += sum * scale * sum * scale;
    scale /= std::max(std::sqrt(squares), kSmallest);
  }
  std::vector<float> vector;
  for (const double sum : sums) vector.push_back(static_cast<float>(sum * scale));
  return vector;
}

}  // namespace

// What SentenceTransformer.encode gives: a vector [H] a text, the mean, first or largest of its tokens' vectors, of length 1 if told so.
// Source: Reimers, Gurevych 2019, arXiv:1908.10084, section 3.
Pipeline sentence_embeddings(const PipelineModel& model, const PipelineOptions& options) {
  const Settings settings = chosen(model, options);
  const auto width = static_cast<size_t>(model.config.hidden_size);
  const auto result = [settings, width](std::span<const std::vector<float>> logits) {
    std::string text;
    append_numbers(pooled(settings, logits[0], width), text);
    return text;
  };
  return {.head = {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<EncoderHead>(config, arena); }, false},
          .head_name = "an encoder",
          .call = [result, encode = PipelineEncoder(model, options, settings.max_seq_length)](const PipelineInput& input) -> PipelineCall {
            const PipelineArguments arguments(input, {"sentences", "text", "inputs"});
            return {.sequences = {{encode(arguments.text({"sentences", "text", "inputs"}), std::nullopt, arguments.where())}},
                    .result = result};
          }};
}

}  // namespace mpibert
