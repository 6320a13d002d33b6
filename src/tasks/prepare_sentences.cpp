#include <algorithm>

#include "base/parallel.h"
#include "mpibert/base/error.h"
#include "tasks/prepare_plan.h"
#include "tasks/raw_files.h"

namespace mpibert {

namespace {

std::vector<std::string> labels_in_training(const Task& task, const std::vector<NamedSplit>& splits) {
  for (const NamedSplit& split : splits)
    if (split.name == "train") return find_labels(task, split.path, split.name);
  throw Error(ErrorKind::kUsage,
              str_cat("task ", task.name,
                      " finds its labels in the training split, and there is none; say which labels there are: --labels a,b,c"));
}

// The sequences of a multiple choice, end to end.
Sample encode_choices(const Example& example, const PrepareOptions& options, const BertTokenizer& tokenizer) {
  Sample sample;
  std::vector<int32_t> lengths;
  for (const std::string& choice : example.choices) {
    const Encoding encoding = tokenizer.encode(example.text_a, choice, options.max_seq_length, options.truncation);
    sample.input_ids.insert(sample.input_ids.end(), encoding.ids.begin(), encoding.ids.end());
    sample.token_type_ids.insert(sample.token_type_ids.end(), encoding.type_ids.begin(), encoding.type_ids.end());
    lengths.push_back(static_cast<int32_t>(encoding.ids.size()));
  }
  sample.labels.emplace_back(kChoiceLengths, std::move(lengths));
  return sample;
}

Sample encode_texts(const Example& example, const PrepareOptions& options, const BertTokenizer& tokenizer) {
  const std::optional<std::string_view> second = example.text_b ? std::optional<std::string_view>(*example.text_b) : std::nullopt;
  Encoding encoding = tokenizer.encode(example.text_a, second, options.max_seq_length, options.truncation);
  return {.input_ids = std::move(encoding.ids), .token_type_ids = std::move(encoding.type_ids), .labels = {}};
}

Sample encode(const Example& example, const PrepareOptions& options, const BertTokenizer& tokenizer) {
  Sample sample = example.choices.empty() ? encode_texts(example, options, tokenizer) : encode_choices(example, options, tokenizer);
  if (example.label) sample.labels.emplace_back("labels", std::vector<int32_t>{*example.label});
  return sample;
}

const char* name_of(Truncation truncation) {
  switch (truncation) {
    case Truncation::kLongestFirst:
      return "longest_first";
    case Truncation::kLongestFirstPop:
      return "longest_first_pop";
    case Truncation::kOnlyFirst:
      return "only_first";
    case Truncation::kOnlySecond:
      return "only_second";
  }
  throw std::logic_error("unknown truncation");
}

}  // namespace

PreparePlan plan_sentences(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  PreparePlan plan;
  auto raw = std::make_shared<std::vector<RawSplit>>();
  Task task = options.task;
  const std::vector<NamedSplit> splits = raw_splits(options, task);
  if (task.kind == TaskKind::kClassification && task.label_names.empty()) task.label_names = labels_in_training(task, splits);
  for (const NamedSplit& split : splits) {
    raw->push_back(read_raw_split(task, split.path, split.name));
    const RawSplit& read = raw->back();
    if (task.kind == TaskKind::kMultipleChoice)
      task.label_names = choice_numbers(read.examples.front().choices.size());  // now all others have as many
    plan.splits.push_back({.name = split.name, .labels = labels_of(task, read.labelled), .dropped = read.dropped, .shards = {}});
    plan.units.push_back((static_cast<int64_t>(read.examples.size()) + options.shard_samples - 1) / options.shard_samples);
  }
  plan.label_names = task.label_names;
  plan.options = {{"columns", columns_text(task)},
                  {"shard_samples", std::to_string(options.shard_samples)},
                  {"truncation", name_of(options.truncation)}};
  plan.make = [&options, &tokenizer, raw, splits = plan.splits](size_t split, int64_t unit) {
    const std::vector<Example>& examples = (*raw)[split].examples;
    const int64_t begin = unit * options.shard_samples,
                  end = std::min(begin + options.shard_samples, static_cast<int64_t>(examples.size()));
    std::vector<Sample> samples(static_cast<size_t>(end - begin));
    for_each_in_parallel(end - begin, [&](int64_t i) {
      samples[static_cast<size_t>(i)] = encode(examples[static_cast<size_t>(begin + i)], options, tokenizer);
    });
    UnitWriter writer(options, tokenizer.vocabulary(), splits[split], unit);
    for (const Sample& sample : samples) writer.add(sample);
    return writer.finish();
  };
  return plan;
}

}  // namespace mpibert
