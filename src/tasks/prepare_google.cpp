#include <memory>

#include "mpibert/base/error.h"
#include "mpibert/data/google_instances.h"
#include "tasks/dataset_files.h"
#include "tasks/prepare_plan.h"

namespace mpibert {

PreparePlan plan_google_instances(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  MPIBERT_CHECK(options.task.pair && options.static_masking, kInvalidArgument,
                "random numbers as Python's are those of the reference script, which makes sentence pairs with masks: expected --task "
                "pretraining --masking static");
  MPIBERT_CHECK(options.corpus.format == CorpusFormat::kAuto || options.corpus.format == CorpusFormat::kLines, kInvalidArgument,
                "the reference script reads one sentence a line (--format lines), not ", name_of(options.corpus.format));
  PreparePlan plan;
  Schema labels = masked_lm_labels();
  for (Field& field : labels_of(options.task)) labels.push_back(std::move(field));
  const auto files_of = std::make_shared<std::vector<std::vector<std::filesystem::path>>>();  // by split
  for (const PrepareInput& input : options.inputs) {
    files_of->push_back(list_corpus_files(input.paths));
    plan.splits.push_back({.name = input.split.empty() ? "train" : input.split, .labels = labels, .dropped = 0, .shards = {}});
    plan.units.push_back(1);
  }
  plan.options = {{"rng", "python"},
                  {"masking", "static"},
                  {"dupe_factor", std::to_string(options.dupe_factor)},
                  {"short_seq_prob", str_cat(options.short_seq_prob)},
                  {"masked_lm_prob", str_cat(options.masking.masked_lm_prob)},
                  {kMaxPredictionsOption, std::to_string(options.masking.max_predictions_per_seq)},
                  {"do_whole_word_mask", options.masking.do_whole_word_mask ? "true" : "false"},
                  {"shard_samples", std::to_string(options.shard_samples)}};
  plan.make = [&options, &tokenizer, files_of, splits = plan.splits](size_t split, int64_t unit) {
    const GoogleInstanceOptions as_script{.max_seq_length = options.max_seq_length,
                                          .short_seq_prob = options.short_seq_prob,
                                          .masking = options.masking,
                                          .dupe_factor = options.dupe_factor,
                                          .random_seed = options.seed};
    UnitWriter writer(options, tokenizer.vocabulary(), splits[split], unit);
    for (const Sample& sample :
         make_google_instances(read_google_documents((*files_of)[split], tokenizer), tokenizer.vocabulary(), as_script))
      writer.add(sample);
    return writer.finish();
  };
  return plan;
}

}  // namespace mpibert
