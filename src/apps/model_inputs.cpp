#include "apps/model_inputs.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "mpibert/train/checkpoint.h"

namespace mpibert::apps {

// A folder of a tokenizer alone is none of a model.
static bool has_vocabulary(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "vocab.txt") || std::filesystem::exists(folder / "tokenizer.json");
}

void TokenizerFlags::declare(Options& options) {
  options.add({.name = "vocab", .target = &vocab, .help = "vocab.txt: one token a line; its line is its id"});
  options.add({.name = "model",
               .target = &model,
               .help = "model folder, run, or folder of mpibert vocab whose vocabulary and settings to use instead"});
  options.add({.name = "cased", .target = &cased, .help = "with --vocab: keep case and accents"});
}

BertTokenizer TokenizerFlags::open() const {
  MPIBERT_CHECK(vocab.empty() != model.empty(), kUsage, "give either --vocab FILE or --model DIR, to say which tokens there are");
  MPIBERT_CHECK(model.empty() || !cased, kUsage, "--cased goes with --vocab; a model folder says itself whether it is cased");
  if (!model.empty()) return BertTokenizer::from_model(has_vocabulary(model) ? std::filesystem::path(model) : resolve_model_path(model));
  return BertTokenizer(Vocabulary::from_file(vocab), {.do_lower_case = !cased});
}

ModelSource open_model_source(const std::filesystem::path& path) {
  ModelSource source;
  if (std::filesystem::is_regular_file(path)) {
    source.config = read_config(path);
    source.folder = path.parent_path();
    return source;
  }
  source.folder = resolve_model_path(path);
  source.config = read_config(config_file(source.folder));
  source.has_weights = find_weights(source.folder).has_value();
  return source;
}

std::vector<float> new_masters(const BertConfig& config, const ParameterArena& arena, uint64_t seed) {
  std::vector<float> masters(static_cast<size_t>(arena.size()));
  arena.initialize(seed, config.initializer_range, host_tensor(std::span(masters), {arena.size()}));
  return masters;
}

namespace {

// A table that the formula does not give would be used as it stands, and never trained.
void check_sinusoids(const std::string& name, std::span<const float> values, const float* formula, const std::filesystem::path& folder) {
  constexpr float kTolerance = 1e-5f;
  for (size_t i = 0; i < values.size(); ++i)
    MPIBERT_CHECK(std::abs(values[i] - formula[i]) <= kTolerance, kInvalidArgument, folder.string(), ": \"", name, "\": number ", i, " is ",
                  values[i], " where the sinusoid is ", formula[i],
                  "; config.json says position_embedding_type sinusoidal, of a trained table it is absolute");
}

}  // namespace

std::vector<float> load_masters(const ModelSource& source, const ParameterArena& arena, const std::vector<std::string>& head_prefixes,
                                uint64_t seed) {
  std::vector<float> masters = new_masters(source.config, arena, seed);
  std::vector<WantedTensor> wanted;
  for (const Parameter& parameter : arena.parameters()) wanted.push_back({parameter.name, parameter.shape});
  const LoadReport report = load_weights(source.folder, wanted, head_prefixes, [&](const std::string& name, std::span<const float> values) {
    const Parameter& parameter = arena.find(name);
    float* const to = masters.data() + parameter.offset;
    if (parameter.init == Init::kSinusoid) check_sinusoids(name, values, to, source.folder);
    std::ranges::copy(values, to);
  });
  log_info("weights of ", source.folder.string(), ": ", report.text());
  return masters;
}

void set_label_names(BertConfig& config, const std::vector<std::string>& names, const std::string& problem_type) {
  nlohmann::ordered_json id2label = nlohmann::ordered_json::object(), label2id = nlohmann::ordered_json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    id2label[std::to_string(i)] = names[i];
    label2id[names[i]] = i;
  }
  config.other["id2label"] = id2label.dump();
  config.other["label2id"] = label2id.dump();
  config.other.erase("problem_type");
  if (!problem_type.empty()) config.other["problem_type"] = nlohmann::json(problem_type).dump();
}

void set_architecture(BertConfig& config, const std::string& name) {
  config.other["architectures"] = nlohmann::json::array({name}).dump();
  config.other["model_type"] = "\"bert\"";
}

}  // namespace mpibert::apps
