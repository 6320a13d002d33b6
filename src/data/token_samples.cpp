#include <algorithm>

#include "base/parallel.h"
#include "data/recently_used.h"
#include "data/sample_source.h"
#include "mpibert/base/error.h"
#include "mpibert/data/sampler.h"
#include "mpibert/data/token_shard.h"
#include "mpibert/text/vocabulary.h"

namespace mpibert {

namespace {

// Documents that are planned together hold about this many tokens.
constexpr int64_t kBlockTokens = int64_t{1} << 17;
// Two blocks for each chunk of the sampler's window, and somewhat more.
constexpr size_t kCachedBlocks = static_cast<size_t>(kChunksPerWindow) * 5 / 2;
constexpr int kRandomTries = 10;  // of the reference script, to find another document
constexpr int64_t kSentencesAhead = 32;

// Consecutive documents of a shard. It gives as many samples in every epoch as it gives in epoch 0, so that a position of the run says
// which sample it is without a look at the epochs before.
struct Block {
  size_t shard = 0;
  IndexRange documents;
  int64_t first_sample = 0;
};

struct Shard {
  TokenShard file;
  int64_t first_document = 0;
};

// a and b of a sample, each in a shard.
struct Pieces {
  size_t a_shard = 0, b_shard = 0;
  IndexRange a, b;
  bool is_random_next = false;
  int64_t tokens() const { return a.size() + b.size(); }
};

class TokenSamples : public SampleSource {
 public:
  TokenSamples(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split, SampleRecipe recipe);

  int64_t size() const override { return size_; }
  int64_t length(int64_t id, int64_t epoch) override { return pieces_of(id, epoch).tokens() + (is_pair_ ? 3 : 2); }
  Sample read(int64_t id, int64_t epoch) override;

 private:
  struct Planned {
    PlannedSample sample;
    int64_t document = 0;  // of the store
  };
  using Plan = std::vector<Planned>;

  void open_shards(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split);
  std::vector<Block> cut_into_blocks(size_t shard) const;  // first_sample: how many samples, to be summed
  Plan plan(const Block& block, int64_t epoch) const;
  Pieces pieces_of(int64_t id, int64_t epoch);
  void take_random_next(const Planned& planned, Pieces& pieces, RandomStream& random) const;

  SampleRecipe recipe_;
  bool is_pair_;
  int32_t cls_id_ = 0, sep_id_ = 0;
  std::vector<Shard> shards_;
  std::vector<Block> blocks_;
  int64_t documents_ = 0, size_ = 0;
  RecentlyUsed<Plan> plans_{kCachedBlocks};
};

TokenSamples::TokenSamples(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split, SampleRecipe recipe)
    : recipe_(recipe), is_pair_(has_field(split.labels, "next_sentence_labels")) {
  if (recipe_.max_seq_length == 0) recipe_.max_seq_length = manifest.max_seq_length;
  const Vocabulary vocabulary = Vocabulary::from_file(folder / "vocab.txt");
  cls_id_ = vocabulary.cls_id();
  sep_id_ = vocabulary.sep_id();
  MPIBERT_CHECK(cls_id_ >= 0 && sep_id_ >= 0, kInvalidArgument, (folder / "vocab.txt").string(), " has no [CLS] or no [SEP]");
  open_shards(folder, manifest, split);
  std::vector<std::vector<Block>> of_shard(shards_.size());
  for_each_in_parallel(static_cast<int64_t>(shards_.size()),
                       [&](int64_t shard) { of_shard[static_cast<size_t>(shard)] = cut_into_blocks(static_cast<size_t>(shard)); });
  for (const std::vector<Block>& blocks : of_shard) {
    for (const Block& block : blocks) {
      blocks_.push_back(block);
      blocks_.back().first_sample = size_;
      size_ += block.first_sample;
    }
  }
}

void TokenSamples::open_shards(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split) {
  for (const ShardEntry& entry : split.shards) {
    shards_.push_back({.file = TokenShard(folder / entry.file), .first_document = documents_});
    const TokenShard& file = shards_.back().file;
    const std::string where = "shard " + (folder / entry.file).string();
    MPIBERT_CHECK(file.documents() == entry.count && file.tokens() == entry.tokens, kCorrupt, where, " has ", file.documents(),
                  " documents of ", file.tokens(), " tokens, the manifest says ", entry.count, " of ", entry.tokens);
    MPIBERT_CHECK(
        file.options().vocabulary_sha256 == manifest.vocabulary_sha256 && file.options().vocabulary_size == manifest.vocabulary_size,
        kCorrupt, where, " was made with another vocabulary (", file.options().vocabulary_sha256, ") than the manifest says (",
        manifest.vocabulary_sha256, ")");
    documents_ += entry.count;
  }
}

std::vector<Block> TokenSamples::cut_into_blocks(size_t shard) const {
  const TokenShard& file = shards_[shard].file;
  const std::vector<uint32_t> documents = file.document_offsets({0, file.documents()}),
                              sentences = file.sentence_offsets({0, file.sentences()});
  std::vector<Block> blocks;
  for (int64_t begin = 0; begin < file.documents();) {
    const auto first_token = [&](int64_t document) { return int64_t{sentences[documents[static_cast<size_t>(document)]]}; };
    int64_t end = begin + 1;
    while (end < file.documents() && first_token(end) - first_token(begin) < kBlockTokens) ++end;
    blocks.push_back({.shard = shard, .documents = {begin, end}});
    blocks.back().first_sample = static_cast<int64_t>(plan(blocks.back(), 0).size());
    begin = end;
  }
  return blocks;
}

TokenSamples::Plan TokenSamples::plan(const Block& block, int64_t epoch) const {
  const Shard& shard = shards_[block.shard];
  const std::vector<uint32_t> documents = shard.file.document_offsets(block.documents);
  const std::vector<uint32_t> sentences = shard.file.sentence_offsets({documents.front(), documents.back()});
  Plan plan;
  std::vector<PlannedSample> of_document;
  for (size_t i = 0; i + 1 < documents.size(); ++i) {
    const int64_t document = shard.first_document + block.documents.begin + static_cast<int64_t>(i);
    const std::span<const uint32_t> offsets =
        std::span(sentences).subspan(documents[i] - documents[0], documents[i + 1] - documents[i] + 1);
    of_document.clear();
    if (is_pair_) {
      const RandomStream random(recipe_.seed, RandomPurpose::kSentencePairs,
                                static_cast<uint64_t>(epoch) << 40 | static_cast<uint64_t>(document));
      plan_sentence_pairs(offsets, recipe_.max_seq_length, recipe_.short_seq_prob, random, of_document);
    } else {
      plan_segments(offsets, recipe_.max_seq_length, of_document);
    }
    for (const PlannedSample& sample : of_document) plan.push_back({sample, document});
  }
  return plan;
}

Pieces TokenSamples::pieces_of(int64_t id, int64_t epoch) {
  const auto next =
      std::upper_bound(blocks_.begin(), blocks_.end(), id, [](int64_t i, const Block& block) { return i < block.first_sample; });
  const Block& block = *std::prev(next);
  const auto index = static_cast<int64_t>(&block - blocks_.data());
  const Plan& plan = plans_.get(epoch * static_cast<int64_t>(blocks_.size()) + index, [&] { return this->plan(block, epoch); });
  // Another epoch plans a few samples more or less than epoch 0: some are left out or come twice, evenly over the block.
  const int64_t samples = (next == blocks_.end() ? size_ : next->first_sample) - block.first_sample;
  const Planned& planned = plan[static_cast<size_t>((id - block.first_sample) * static_cast<int64_t>(plan.size()) / samples)];

  Pieces pieces{.a_shard = block.shard,
                .b_shard = block.shard,
                .a = planned.sample.a,
                .b = planned.sample.b,
                .is_random_next = planned.sample.is_random_next};
  if (!is_pair_) return pieces;
  RandomStream random(planned.sample.key, RandomPurpose::kSentencePairDetails, 0);
  if (planned.sample.is_random_next) take_random_next(planned, pieces, random);
  truncate_pair(pieces.a, pieces.b, recipe_.max_seq_length - 3, random);
  return pieces;
}

// Sentences of another document of the store, from a random one on, until there are enough tokens.
void TokenSamples::take_random_next(const Planned& planned, Pieces& pieces, RandomStream& random) const {
  int64_t other = planned.document;
  for (int attempt = 0; attempt < kRandomTries && other == planned.document; ++attempt)
    other = static_cast<int64_t>(random.below(static_cast<uint64_t>(documents_)));
  const auto next = std::upper_bound(shards_.begin(), shards_.end(), other,
                                     [](int64_t document, const Shard& shard) { return document < shard.first_document; });
  const Shard& shard = *std::prev(next);
  const std::vector<uint32_t> sentences = shard.file.document_offsets({other - shard.first_document, other - shard.first_document + 1});
  const int64_t first = sentences[0] + static_cast<int64_t>(random.below(sentences[1] - sentences[0])),
                wanted = std::max<int64_t>(1, planned.sample.target - pieces.a.size());
  pieces.b_shard = static_cast<size_t>(&shard - shards_.data());
  for (int64_t ahead = kSentencesAhead;; ahead *= 2) {
    const std::vector<uint32_t> offsets = shard.file.sentence_offsets({first, std::min<int64_t>(first + ahead, sentences[1])});
    const auto enough = std::find_if(offsets.begin() + 1, offsets.end(), [&](uint32_t end) { return end - offsets[0] >= wanted; });
    if (enough == offsets.end() && first + ahead < sentences[1]) continue;
    pieces.b = {offsets[0], enough == offsets.end() ? offsets.back() : *enough};
    return;
  }
}

Sample TokenSamples::read(int64_t id, int64_t epoch) {
  const Pieces pieces = pieces_of(id, epoch);
  Sample sample;
  sample.id = id;
  sample.input_ids.reserve(static_cast<size_t>(pieces.tokens()) + 3);
  sample.input_ids.push_back(cls_id_);
  shards_[pieces.a_shard].file.append_ids(pieces.a, sample.input_ids);
  sample.input_ids.push_back(sep_id_);
  sample.token_type_ids.assign(sample.input_ids.size(), 0);
  if (!is_pair_) return sample;
  shards_[pieces.b_shard].file.append_ids(pieces.b, sample.input_ids);
  sample.input_ids.push_back(sep_id_);
  sample.token_type_ids.resize(sample.input_ids.size(), 1);
  sample.labels.emplace_back("next_sentence_labels", std::vector<int32_t>{pieces.is_random_next ? 1 : 0});
  return sample;
}

}  // namespace

std::unique_ptr<SampleSource> open_token_samples(const std::filesystem::path& folder, const Manifest& manifest, const SplitEntry& split,
                                                 const SampleRecipe& recipe) {
  return std::make_unique<TokenSamples>(folder, manifest, split, recipe);
}

}  // namespace mpibert
