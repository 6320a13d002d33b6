#include <optional>

#include "mpibert/base/error.h"
#include "tasks/prepare_plan.h"

namespace mpibert {

namespace {

using Units = std::vector<CorpusUnit>;

// Keys of random numbers, 64 bits: which unit of the input, which pass, which document or sample in it.
uint64_t pair_place(int64_t unit, int64_t pass, int64_t document) {
  MPIBERT_CHECK(unit < (int64_t{1} << 24) && document < (int64_t{1} << 32), kInvalidArgument, "unit ", unit, ", document ", document,
                ": there are keys for 2^24 units of 2^32 documents; choose larger block_bytes");
  return static_cast<uint64_t>(unit) << 40 | static_cast<uint64_t>(pass) << 32 | static_cast<uint64_t>(document);
}
uint64_t mask_place(int64_t unit, int64_t sample) { return static_cast<uint64_t>(unit) << 40 | static_cast<uint64_t>(sample); }

// One unit of the corpus, a block of text at a time.
class UnitMaker {
 public:
  UnitMaker(const PrepareOptions& options, const BertTokenizer& tokenizer, const std::optional<Masker>& masker, const SplitEntry& split, const Units& units, int64_t unit)
      : options_(options), tokenizer_(tokenizer), masker_(masker), reader_(units[static_cast<size_t>(unit)], options.format),
        writer_(options, tokenizer.vocabulary(), split, unit), unit_(unit) {}

  std::vector<ShardEntry> run() {
    while (read_block()) {
      tokenize();
      for (int64_t pass = 0; pass < options_.dupe_factor; ++pass) write_pass(pass);
      documents_before_ += static_cast<int64_t>(texts_.size());
    }
    return writer_.finish();
  }

 private:
  bool read_block() {
    texts_.clear();
    int64_t bytes = 0;
    for (Document document; bytes < options_.block_bytes && reader_.next(document);) {
      for (const std::string& sentence : document) bytes += static_cast<int64_t>(sentence.size());
      texts_.push_back(std::move(document));
    }
    return !texts_.empty();
  }

  void tokenize() {
    std::vector<TokenizedDocument> all(texts_.size());
    for_each_in_parallel(static_cast<int64_t>(texts_.size()), [&](int64_t i) {
      TokenizedDocument& document = all[static_cast<size_t>(i)];
      for (const std::string& sentence : texts_[static_cast<size_t>(i)]) {
        tokenizer_.append_ids(sentence, document.ids);
        if (const auto end = static_cast<int64_t>(document.ids.size()); end > document.offsets.back()) document.offsets.push_back(end);
      }
    });
    block_.clear();
    for (TokenizedDocument& document : all)  // text of nothing but control characters leaves no token
      if (document.sentences() > 0) block_.push_back(std::move(document));
  }

  void write_pass(int64_t pass) {
    std::vector<std::vector<Sample>> samples(block_.size());
    for_each_in_parallel(static_cast<int64_t>(block_.size()), [&](int64_t i) {
      if (!options_.task.pair) return make_segments(block_[static_cast<size_t>(i)], tokenizer_.vocabulary(), options_.max_seq_length, samples[static_cast<size_t>(i)]);
      const RandomStream random(options_.seed, RandomPurpose::kSentencePairs, pair_place(unit_, pass, documents_before_ + i));
      make_sentence_pairs(block_, i, tokenizer_.vocabulary(), {.max_seq_length = options_.max_seq_length, .short_seq_prob = options_.short_seq_prob}, random,
                          samples[static_cast<size_t>(i)]);
    });
    for (std::vector<Sample>& of_document : samples) {
      for (Sample& sample : of_document) {
        if (masker_) masker_->mask(sample, RandomStream(options_.seed, RandomPurpose::kStaticMasking, mask_place(unit_, samples_)));
        ++samples_;
        writer_.add(sample);
      }
    }
  }

  const PrepareOptions& options_;
  const BertTokenizer& tokenizer_;
  const std::optional<Masker>& masker_;
  DocumentReader reader_;
  UnitWriter writer_;
  int64_t unit_, documents_before_ = 0, samples_ = 0;
  std::vector<Document> texts_;
  std::vector<TokenizedDocument> block_;
};

std::vector<std::pair<std::string, std::string>> options_for_people(const PrepareOptions& options) {
  std::vector<std::pair<std::string, std::string>> named = {
      {"block_bytes", std::to_string(options.block_bytes)},     {"dupe_factor", std::to_string(options.dupe_factor)},
      {"format", std::string(name_of(options.format))},      {"masking", options.static_masking ? "static" : "dynamic"},
      {"shard_samples", std::to_string(options.shard_samples)}};
  if (options.task.pair) named.emplace_back("short_seq_prob", str_cat(options.short_seq_prob));
  if (options.static_masking) {
    named.emplace_back("masked_lm_prob", str_cat(options.masking.masked_lm_prob));
    named.emplace_back("max_predictions_per_seq", std::to_string(options.masking.max_predictions_per_seq));
    named.emplace_back("do_whole_word_mask", options.masking.do_whole_word_mask ? "true" : "false");
  }
  return named;
}

}  // namespace

PreparePlan plan_pretraining(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  PreparePlan plan;
  auto units_of = std::make_shared<std::vector<Units>>();  // by split
  std::optional<Masker> masker;
  if (options.static_masking) masker.emplace(tokenizer.vocabulary(), options.masking);
  Schema labels = masker ? masked_lm_labels() : Schema{};
  for (Field& field : labels_of(options.task)) labels.push_back(std::move(field));
  for (const PrepareInput& input : options.inputs) {
    const std::string name = input.split.empty() ? "train" : input.split;
    for (const SplitEntry& split : plan.splits) MPIBERT_CHECK(split.name != name, kInvalidArgument, "split '", name, "' is given twice");
    const std::vector<std::filesystem::path> files = list_corpus_files(input.paths);
    units_of->push_back(plan_corpus(files, options.block_bytes));
    plan.splits.push_back({.name = name, .labels = labels, .dropped = 0, .shards = {}});
    plan.units.push_back(static_cast<int64_t>(units_of->back().size()));
  }
  plan.options = options_for_people(options);
  plan.make = [&options, &tokenizer, units_of, masker, splits = plan.splits](size_t split, int64_t unit) {
    return UnitMaker(options, tokenizer, masker, splits[split], (*units_of)[split], unit).run();
  };
  return plan;
}

}  // namespace mpibert
