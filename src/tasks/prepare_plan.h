#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mpibert/tasks/prepare.h"
#include "mpibert/tasks/task.h"
#include "tasks/prepare_journal.h"

namespace mpibert {

// What a preparation is to do, cut into units by the input alone. Every rank makes the same plan.
struct PreparePlan {
  std::vector<SplitEntry> splits;                            // without shards
  std::vector<int64_t> units;                                // of each split
  std::string cuts;                                          // of a corpus: where its units begin and end
  std::vector<std::string> label_names;                      // of a classification
  std::vector<std::pair<std::string, std::string>> options;  // for the manifest
  // Writes the shards of one unit: a function of (input, options, unit).
  std::function<MadeUnit(size_t split, int64_t unit)> make;
};

// The units of a corpus, by input.
std::vector<std::vector<CorpusUnit>> units_of_corpus(const PrepareOptions& options);
// left_out: of each unit of each input the documents, by number and ascending, that are not taken; or nothing.
PreparePlan plan_token_store(const PrepareOptions& options, const BertTokenizer& tokenizer,
                             const std::vector<std::vector<std::vector<int64_t>>>& left_out);
// The samples of a token store, those that reading it in epochs 0 .. dupe_factor-1 would give.
PreparePlan plan_samples_of_store(const PrepareOptions& options, const BertTokenizer& tokenizer, const std::filesystem::path& store);
PreparePlan plan_google_instances(const PrepareOptions& options,
                                  const BertTokenizer& tokenizer);  // data/google_instances.h; a split is one unit
PreparePlan plan_sentences(const PrepareOptions& options, const BertTokenizer& tokenizer);
PreparePlan plan_tokens(const PrepareOptions& options, const BertTokenizer& tokenizer);
PreparePlan plan_squad(const PrepareOptions& options, const BertTokenizer& tokenizer);

// The shards of one unit, each of at most shard_samples samples.
class UnitWriter {
 public:
  UnitWriter(const PrepareOptions& options, const Vocabulary& vocabulary, const SplitEntry& split, int64_t unit);
  void add(const Sample& sample);
  MadeUnit finish();

 private:
  const PrepareOptions& options_;
  const SplitEntry& split_;
  ShardOptions shard_options_;
  int64_t unit_;
  std::vector<ShardEntry> shards_;
  std::optional<ShardWriter> writer_;
};

}  // namespace mpibert
