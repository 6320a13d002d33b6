#include <algorithm>
#include <memory>

#include "mpibert/base/error.h"
#include "tasks/dataset_files.h"
#include "tasks/prepare_plan.h"

namespace mpibert {

namespace {

std::vector<std::pair<std::string, std::string>> options_for_people(const PrepareOptions& options) {
  std::vector<std::pair<std::string, std::string>> named = {{"block_bytes", std::to_string(options.block_bytes)},
                                                            {"dupe_factor", std::to_string(options.dupe_factor)},
                                                            {"masking", options.static_masking ? "static" : "dynamic"},
                                                            {"shard_samples", std::to_string(options.shard_samples)}};
  for (auto& option : named_options(options.corpus)) named.push_back(std::move(option));
  if (options.task.pair) named.emplace_back("short_seq_prob", str_cat(options.short_seq_prob));
  if (options.static_masking) {
    named.emplace_back("masked_lm_prob", str_cat(options.masking.masked_lm_prob));
    named.emplace_back(kMaxPredictionsOption, std::to_string(options.masking.max_predictions_per_seq));
    named.emplace_back("do_whole_word_mask", options.masking.do_whole_word_mask ? "true" : "false");
  }
  return named;
}

}  // namespace

PreparePlan plan_samples_of_store(const PrepareOptions& options, const BertTokenizer& tokenizer, const std::filesystem::path& store) {
  PreparePlan plan;
  std::optional<Masker> masker;
  if (options.static_masking) masker.emplace(tokenizer.vocabulary(), options.masking);
  auto datasets = std::make_shared<std::vector<Dataset>>();
  const SampleRecipe recipe{.max_seq_length = options.max_seq_length, .short_seq_prob = options.short_seq_prob, .seed = options.seed};
  for (const SplitEntry& stored : read_manifest(store).splits) {
    datasets->emplace_back(store, stored.name, false, recipe);
    Schema labels = masker ? masked_lm_labels() : Schema{};
    labels.insert(labels.end(), stored.labels.begin(), stored.labels.end());
    plan.splits.push_back({.name = stored.name, .labels = std::move(labels), .dropped = 0, .shards = {}});
    plan.units.push_back((datasets->back().size() * options.dupe_factor + options.shard_samples - 1) / options.shard_samples);
  }
  plan.options = options_for_people(options);
  plan.make = [&options, &tokenizer, datasets, masker, splits = plan.splits](size_t split, int64_t unit) {
    const Dataset& dataset = (*datasets)[split];
    const int64_t begin = unit * options.shard_samples, end = std::min(begin + options.shard_samples, dataset.size() * options.dupe_factor);
    UnitWriter writer(options, tokenizer.vocabulary(), splits[split], unit);
    for (int64_t id = begin; id < end; ++id) {
      Sample sample = dataset.read(id % dataset.size(), id / dataset.size());
      sample.id = id;
      if (masker) masker->mask(sample, RandomStream(options.seed, RandomPurpose::kStaticMasking, static_cast<uint64_t>(id)));
      writer.add(sample);
    }
    return writer.finish();
  };
  return plan;
}

}  // namespace mpibert
