#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mpibert/tasks/prepare.h"
#include "mpibert/tasks/task.h"

namespace mpibert {

// What a preparation is to do, cut into units by the input alone. Every rank makes the same plan.
struct PreparePlan {
  std::vector<SplitEntry> splits;  // without shards
  std::vector<int64_t> units;      // of each split
  std::vector<std::string> label_names;  // of a classification
  std::vector<std::pair<std::string, std::string>> options;  // for the manifest
  // Writes the shards of one unit: a function of (input, options, unit).
  std::function<std::vector<ShardEntry>(size_t split, int64_t unit)> make;
};

PreparePlan plan_pretraining(const PrepareOptions& options, const BertTokenizer& tokenizer);
PreparePlan plan_sentences(const PrepareOptions& options, const BertTokenizer& tokenizer);
PreparePlan plan_tokens(const PrepareOptions& options, const BertTokenizer& tokenizer);
PreparePlan plan_squad(const PrepareOptions& options, const BertTokenizer& tokenizer);

// The shards of one unit, each of at most shard_samples samples.
class UnitWriter {
 public:
  UnitWriter(const PrepareOptions& options, const Vocabulary& vocabulary, const SplitEntry& split, int64_t unit);
  void add(const Sample& sample);
  std::vector<ShardEntry> finish();

 private:
  const PrepareOptions& options_;
  const SplitEntry& split_;
  ShardOptions shard_options_;
  int64_t unit_;
  std::vector<ShardEntry> shards_;
  std::optional<ShardWriter> writer_;
};

// f(i) for i in 0 .. n-1 on all threads. Of several errors the one of the lowest i is thrown.
void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& f);

}  // namespace mpibert
