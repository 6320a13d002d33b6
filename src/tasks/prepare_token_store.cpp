#include <algorithm>
#include <memory>
#include <optional>

#include "base/parallel.h"
#include "mpibert/base/error.h"
#include "mpibert/data/token_shard.h"
#include "tasks/dataset_files.h"
#include "tasks/prepare_plan.h"

namespace mpibert {

namespace {

constexpr int64_t kBatchBytes = int64_t{16} << 20;  // text that is tokenized at a time, by all threads
constexpr int64_t kShardTokens =
    int64_t{1} << 26;  // of one shard, about: of a unit that cannot be cut, such as one long file that is compressed

// One unit of the corpus, a batch of documents at a time.
class StoreUnit {
 public:
  StoreUnit(const PrepareOptions& options, const BertTokenizer& tokenizer, const SplitEntry& split, const CorpusUnit& input, int64_t unit,
            std::span<const int64_t> left_out)
      : options_(options), tokenizer_(tokenizer), split_(split), reader_(input, options.corpus), unit_(unit), left_out_(left_out) {}

  MadeUnit make() {
    while (read_batch()) {
      for_each_in_parallel(static_cast<int64_t>(texts_.size()), [&](int64_t i) { tokenize(static_cast<size_t>(i)); });
      for (size_t i = 0; i < texts_.size(); ++i) add(i);
    }
    commit();
    made_.summary.read = reader_.counts();
    return std::move(made_);
  }

 private:
  bool read_batch() {
    size_t count = 0;
    for (int64_t bytes = 0; bytes < kBatchBytes;) {
      if (count == texts_.size()) texts_.emplace_back();
      if (!reader_.next(texts_[count])) break;
      if (std::binary_search(left_out_.begin(), left_out_.end(), documents_read_++)) {
        ++made_.summary.duplicates;
        continue;
      }
      bytes += texts_[count++].bytes();
    }
    texts_.resize(count);
    tokenized_.resize(std::max(count, tokenized_.size()));
    return count > 0;
  }

  void tokenize(size_t i) {
    TokenizedDocument& document = tokenized_[i];
    document.ids.clear();
    document.offsets.assign(1, 0);
    for (int64_t s = 0; s < texts_[i].sentences(); ++s) {
      tokenizer_.append_ids(texts_[i].sentence(s), document.ids);
      if (const auto end = static_cast<int64_t>(document.ids.size()); end > document.offsets.back()) document.offsets.push_back(end);
    }
  }

  void add(size_t i) {
    if (tokenized_[i].sentences() == 0) return;  // text of nothing but control characters leaves no token
    if (writer_ && writer_->tokens() + static_cast<int64_t>(tokenized_[i].ids.size()) > kShardTokens) commit();
    const ShardOptions shard_options{.vocabulary_size = tokenizer_.vocabulary().size(),
                                     .vocabulary_sha256 = tokenizer_.vocabulary().sha256()};
    if (!writer_)
      writer_.emplace(options_.output / shard_name(split_.name, unit_, static_cast<int64_t>(made_.shards.size())), shard_options);
    writer_->add(tokenized_[i]);
    made_.summary.add(tokenized_[i], texts_[i].bytes(), tokenizer_.vocabulary().unk_id());
  }

  void commit() {
    if (writer_) made_.shards.push_back(writer_->commit());
    writer_.reset();
  }

  const PrepareOptions& options_;
  const BertTokenizer& tokenizer_;
  const SplitEntry& split_;
  DocumentReader reader_;
  int64_t unit_, documents_read_ = 0;
  std::span<const int64_t> left_out_;
  std::vector<Document> texts_;
  std::vector<TokenizedDocument> tokenized_;
  std::optional<TokenShardWriter> writer_;
  MadeUnit made_;
};

}  // namespace

std::vector<std::vector<CorpusUnit>> units_of_corpus(const PrepareOptions& options) {
  std::vector<std::vector<CorpusUnit>> units;
  for (const PrepareInput& input : options.inputs) units.push_back(plan_corpus(list_corpus_files(input.paths), options.block_bytes));
  return units;
}

PreparePlan plan_token_store(const PrepareOptions& options, const BertTokenizer& tokenizer,
                             const std::vector<std::vector<std::vector<int64_t>>>& left_out) {
  PreparePlan plan;
  auto units_of = std::make_shared<std::vector<std::vector<CorpusUnit>>>(units_of_corpus(options));
  for (size_t i = 0; i < options.inputs.size(); ++i) {
    const PrepareInput& input = options.inputs[i];
    const std::string name = input.split.empty() ? "train" : input.split;
    for (const SplitEntry& split : plan.splits) MPIBERT_CHECK(split.name != name, kInvalidArgument, "split '", name, "' is given twice");
    plan.splits.push_back({.name = name, .labels = labels_of(options.task), .dropped = 0, .shards = {}});
    plan.units.push_back(static_cast<int64_t>((*units_of)[i].size()));
    for (const CorpusUnit& unit : (*units_of)[i])
      plan.cuts += str_cat(unit.files.front().string(), " ", unit.files.size(), " ", unit.begin, " ", unit.end, "\n");
  }
  plan.options = named_options(options.corpus);
  plan.options.emplace_back("block_bytes", std::to_string(options.block_bytes));
  if (options.drop_duplicates) plan.options.emplace_back("drop_duplicates", "true");
  plan.make = [&options, &tokenizer, units_of, left_out, splits = plan.splits](size_t split, int64_t unit) {
    const auto u = static_cast<size_t>(unit);
    const std::span<const int64_t> of_unit = left_out.empty() ? std::span<const int64_t>() : std::span<const int64_t>(left_out[split][u]);
    return StoreUnit(options, tokenizer, splits[split], (*units_of)[split][u], unit, of_unit).make();
  };
  return plan;
}

}  // namespace mpibert
