#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mpibert/base/options.h"
#include "mpibert/model/bert.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert::apps {

// Where a tokenizer comes from: --vocab FILE with --cased, or --model DIR, whose own settings are taken.
struct TokenizerFlags {
  std::string vocab, model;
  bool cased = false;

  void declare(Options& options);
  BertTokenizer open() const;  // throws kUsage unless exactly one of --vocab and --model is given
};

// What --model PATH means.
struct ModelSource {
  std::filesystem::path folder;  // a model folder, a checkpoint, or a run's newest checkpoint; the folder of a CONFIG.json
  BertConfig config;
  bool has_weights = false;  // false: a CONFIG.json, or a folder with a config.json alone: a model to begin with
};
ModelSource open_model_source(const std::filesystem::path& path);  // throws kNotFound, kCorrupt, kInvalidArgument

// The fp32 numbers of all parameters, laid out as in the arena: from the folder, what it lacks of the head new from `seed`. Says in the log
// what was taken. Heads that may be missing are named by `head_prefixes` ("classifier."); none: everything must be there.
std::vector<float> load_masters(const ModelSource& source, const ParameterArena& arena, const std::vector<std::string>& head_prefixes,
                                uint64_t seed);
std::vector<float> new_masters(const BertConfig& config, const ParameterArena& arena, uint64_t seed);

// Writes label names into config.json; problem_type as transformers has it: "single_label_classification" or "regression"; empty: none, as
// of token classification.
void set_label_names(BertConfig& config, const std::vector<std::string>& names, const std::string& problem_type = "");
void set_architecture(BertConfig& config, const std::string& name);

}  // namespace mpibert::apps
