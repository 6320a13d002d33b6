#include <algorithm>
#include <set>

#include "base/parallel.h"
#include "mpibert/base/error.h"
#include "mpibert/tasks/token_features.h"
#include "tasks/prepare_plan.h"
#include "tasks/raw_files.h"
#include "tasks/token_file.h"

namespace mpibert {

namespace {

constexpr int64_t kUnitSentences = 4096;

// A split as read, once on every rank.
struct RawTokens {
  std::string file;
  std::vector<TaggedSentence> sentences;
  bool labelled() const { return !sentences.front().tags.empty(); }
};

RawTokens read_split(const Task& task, const NamedSplit& split) {
  const std::filesystem::path file = raw_file_of(task, split.path, split.name);
  RawTokens raw{.file = file.string(), .sentences = read_tagged_sentences(file)};
  MPIBERT_CHECK(raw.labelled() || split.name != "train", kCorrupt, raw.file,
                " has words without tags: expected at least two columns, the tag the last");
  return raw;
}

std::vector<std::string> tags_in_training(const Task& task, const std::vector<NamedSplit>& splits, const std::vector<RawTokens>& raws) {
  std::set<std::string> tags;
  for (size_t i = 0; i < splits.size(); ++i)
    if (splits[i].name == "train")
      for (const TaggedSentence& sentence : raws[i].sentences) tags.insert(sentence.tags.begin(), sentence.tags.end());
  MPIBERT_CHECK(!tags.empty(), kUsage, "task ", task.name,
                " finds its labels in the training split, and there is none; say which labels there are: --labels O,B-PER,I-PER");
  return {tags.begin(), tags.end()};
}

std::vector<int32_t> labels_of_words(const std::vector<std::string>& names, const RawTokens& raw, const TaggedSentence& sentence) {
  std::vector<int32_t> labels;
  for (size_t i = 0; i < sentence.tags.size(); ++i) {
    const auto found = std::ranges::find(names, sentence.tags[i]);
    std::string known;
    if (found == names.end())
      for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    MPIBERT_CHECK(found != names.end(), kCorrupt, raw.file, ":", sentence.line + static_cast<int64_t>(i), ": label '", sentence.tags[i],
                  "' is none of ", known);
    labels.push_back(static_cast<int32_t>(found - names.begin()));
  }
  return labels;
}

std::vector<Sample> samples_of(const BertTokenizer& tokenizer, const TaggedSentence& sentence, std::span<const int32_t> labels,
                               int64_t number, int64_t max_seq_length) {
  std::vector<Sample> samples;
  for (TokenFeature& feature : token_features(tokenizer, sentence.words, max_seq_length)) {
    Sample& sample = samples.emplace_back();
    sample.input_ids = std::move(feature.input_ids);
    sample.token_type_ids.resize(sample.input_ids.size());
    if (labels.empty()) continue;
    std::vector<int32_t> of_tokens;
    for (const int32_t word : feature.words) of_tokens.push_back(word < 0 ? kNoLabel : labels[static_cast<size_t>(word)]);
    sample.labels = {{"labels", std::move(of_tokens)}, {"sentences", {static_cast<int32_t>(number)}}};
  }
  return samples;
}

}  // namespace

PreparePlan plan_tokens(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  PreparePlan plan;
  const std::vector<NamedSplit> splits = raw_splits(options, options.task);
  auto raws = std::make_shared<std::vector<RawTokens>>();
  for (const NamedSplit& split : splits) raws->push_back(read_split(options.task, split));
  plan.label_names = options.task.label_names.empty() ? tags_in_training(options.task, splits, *raws) : options.task.label_names;
  auto labels = std::make_shared<std::vector<std::vector<std::vector<int32_t>>>>();  // of each split's sentences
  for (size_t i = 0; i < splits.size(); ++i) {
    const RawTokens& raw = (*raws)[i];
    plan.splits.push_back({.name = splits[i].name, .labels = labels_of(options.task, raw.labelled()), .dropped = 0, .shards = {}});
    plan.units.push_back((static_cast<int64_t>(raw.sentences.size()) + kUnitSentences - 1) / kUnitSentences);
    auto& of_split = labels->emplace_back();
    for (const TaggedSentence& sentence : raw.sentences) of_split.push_back(labels_of_words(plan.label_names, raw, sentence));
  }
  plan.options = {{"columns", columns_text(options.task)}};
  plan.make = [&options, &tokenizer, raws, labels, splits = plan.splits](size_t split, int64_t unit) {
    const std::vector<TaggedSentence>& sentences = (*raws)[split].sentences;
    const int64_t begin = unit * kUnitSentences, end = std::min(begin + kUnitSentences, static_cast<int64_t>(sentences.size()));
    std::vector<std::vector<Sample>> samples(static_cast<size_t>(end - begin));
    for_each_in_parallel(end - begin, [&](int64_t i) {
      const auto number = static_cast<size_t>(begin + i);
      samples[static_cast<size_t>(i)] =
          samples_of(tokenizer, sentences[number], (*labels)[split][number], begin + i, options.max_seq_length);
    });
    UnitWriter writer(options, tokenizer.vocabulary(), splits[split], unit);
    for (const auto& of_sentence : samples)
      for (const Sample& sample : of_sentence) writer.add(sample);
    return writer.finish();
  };
  return plan;
}

}  // namespace mpibert
