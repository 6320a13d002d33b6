#include "mpibert/data/masking.h"

#include <algorithm>
#include <cmath>

#include "mpibert/base/error.h"

namespace mpibert {

struct Masker::Tokens {
  int64_t size = 0;
  int32_t mask = 0, cls = 0, sep = 0;
  std::vector<bool> continues;  // begins with ##
};

Masker::Masker(const Vocabulary& vocabulary, MaskingOptions options) : options_(options) {
  MPIBERT_CHECK(options.masked_lm_prob > 0 && options.masked_lm_prob < 1, kInvalidArgument, "masked_lm_prob is ", options.masked_lm_prob,
                ", expected 0 to 1, both excluded");
  MPIBERT_CHECK(options.max_predictions_per_seq > 0, kInvalidArgument, "max_predictions_per_seq is ", options.max_predictions_per_seq,
                ", expected at least 1");
  MPIBERT_CHECK(vocabulary.mask_id() >= 0 && vocabulary.cls_id() >= 0 && vocabulary.sep_id() >= 0, kInvalidArgument,
                "masking needs a vocabulary with [MASK], [CLS] and [SEP]");
  auto tokens = std::make_shared<Tokens>();
  tokens->size = vocabulary.size();
  tokens->mask = vocabulary.mask_id();
  tokens->cls = vocabulary.cls_id();
  tokens->sep = vocabulary.sep_id();
  for (const std::string& token : vocabulary.tokens()) tokens->continues.push_back(token.starts_with("##"));
  tokens_ = std::move(tokens);
}

int64_t Masker::vocabulary_size() const { return tokens_->size; }

Schema masked_lm_labels() {
  return {{.name = "masked_lm_positions", .dtype = DType::kInt32, .per = Per::kPrediction},
          {.name = "masked_lm_ids", .dtype = DType::kInt32, .per = Per::kPrediction}};
}

void Masker::mask(Sample& sample, RandomStream random) const {
  std::vector<int32_t>& ids = sample.input_ids;
  for (const auto& [name, values] : sample.labels)
    MPIBERT_CHECK(name != "masked_lm_positions", kInvalidArgument, "sample ", sample.id,
                  " is masked already; a data set with static masks cannot be masked dynamically");
  const int32_t size = static_cast<int32_t>(tokens_->size);

  // Candidates: runs of positions that are masked together.
  std::vector<std::pair<int32_t, int32_t>> candidates;  // begin, end
  bool joinable = false;
  for (int32_t i = 0; i < static_cast<int32_t>(ids.size()); ++i) {
    const int32_t id = ids[static_cast<size_t>(i)];
    MPIBERT_CHECK(id >= 0 && id < size, kInvalidArgument, "sample ", sample.id, " has token ", id, ", which a vocabulary of ", size,
                  " tokens lacks");
    if (id == tokens_->cls || id == tokens_->sep) {
      joinable = false;
      continue;
    }
    if (options_.do_whole_word_mask && joinable && tokens_->continues[static_cast<size_t>(id)]) candidates.back().second = i + 1;
    else candidates.emplace_back(i, i + 1);
    joinable = true;
  }
  for (size_t i = candidates.size(); i > 1; --i) std::swap(candidates[i - 1], candidates[random.below(i)]);

  // nearbyint rounds half to even, as the reference's language does.
  const int64_t wanted = static_cast<int64_t>(std::nearbyint(static_cast<double>(ids.size()) * options_.masked_lm_prob));
  const int64_t limit = std::min(options_.max_predictions_per_seq, std::max<int64_t>(1, wanted));
  std::vector<std::pair<int32_t, int32_t>> chosen;  // position, original id
  for (const auto& [begin, end] : candidates) {
    if (static_cast<int64_t>(chosen.size()) >= limit) break;
    if (static_cast<int64_t>(chosen.size()) + (end - begin) > limit) continue;
    for (int32_t i = begin; i < end; ++i) {
      int32_t& id = ids[static_cast<size_t>(i)];
      chosen.emplace_back(i, id);
      if (random.uniform() < 0.8) id = tokens_->mask;
      else if (random.uniform() >= 0.5) id = static_cast<int32_t>(random.below(static_cast<uint64_t>(size)));
    }
  }
  std::sort(chosen.begin(), chosen.end());
  std::vector<int32_t> positions, originals;
  for (const auto& [position, original] : chosen) {
    positions.push_back(position);
    originals.push_back(original);
  }
  sample.labels.insert(sample.labels.begin(), {{"masked_lm_positions", std::move(positions)}, {"masked_lm_ids", std::move(originals)}});
}

void Masker::mask_dynamically(Sample& sample, uint64_t seed, int64_t epoch) const {
  MPIBERT_CHECK(sample.id >= 0 && sample.id < (int64_t{1} << 40) && epoch >= 0 && epoch < (int64_t{1} << 24), kInvalidArgument, "sample ",
                sample.id, " in epoch ", epoch, ": dynamic masking has keys for 2^40 samples and 2^24 epochs");
  mask(sample, RandomStream(seed, RandomPurpose::kDynamicMasking, static_cast<uint64_t>(epoch) << 40 | static_cast<uint64_t>(sample.id)));
}

}  // namespace mpibert
