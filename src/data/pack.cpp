#include "data/pack.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>

#include "mpibert/base/error.h"
#include "mpibert/data/batch_loader.h"

namespace mpibert {

std::vector<std::vector<int64_t>> deal_to_slots(std::span<const int64_t> lengths, int64_t slots) {
  MPIBERT_CHECK(slots > 0, kInvalidArgument, "cannot deal sequences to ", slots, " slots");
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)]; });
  using Load = std::pair<int64_t, int64_t>;  // tokens, slot
  std::priority_queue<Load, std::vector<Load>, std::greater<>> lightest;
  for (int64_t slot = 0; slot < slots; ++slot) lightest.emplace(0, slot);
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(slots));
  for (const int64_t i : order) {
    const auto [tokens, slot] = lightest.top();
    lightest.pop();
    members[static_cast<size_t>(slot)].push_back(i);
    lightest.emplace(tokens + lengths[static_cast<size_t>(i)], slot);
  }
  for (auto& of_slot : members) std::sort(of_slot.begin(), of_slot.end());
  return members;
}

std::vector<std::vector<int64_t>> pack(std::span<const int64_t> members, std::span<const int64_t> lengths, int64_t micro_tokens) {
  std::vector<int64_t> order(members.begin(), members.end());
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)]; });
  std::vector<std::vector<int64_t>> bins;
  std::vector<int64_t> room;
  for (const int64_t i : order) {
    const int64_t length = lengths[static_cast<size_t>(i)];
    MPIBERT_CHECK(length <= micro_tokens, kInvalidArgument, "a sequence of ", length,
                  " tokens does not fit in a micro-batch of micro_tokens = ", micro_tokens);
    size_t bin = 0;
    while (bin < bins.size() && room[bin] < length) ++bin;
    if (bin == bins.size()) {
      bins.emplace_back();
      room.push_back(micro_tokens);
    }
    bins[bin].push_back(i);
    room[bin] -= length;
  }
  for (auto& bin : bins) std::sort(bin.begin(), bin.end());
  return bins;
}

namespace {

void append_labels(std::span<const PlacedSample> samples, const Schema& labels, Batch& batch) {
  for (const Field& field : labels) {
    if (field.name == kChoiceLengths) continue;  // they are in cu_seqlens
    std::vector<int32_t> values;
    int32_t row = 0;  // of the sequence's first token
    for (const PlacedSample& placed : samples) {
      const std::vector<int32_t>& of_sample = placed.sample.label(field.name);
      // Positions become rows of the batch.
      const int32_t shift = field.name == "masked_lm_positions" ? row : 0;
      for (const int32_t value : of_sample) values.push_back(value + shift);
      row += static_cast<int32_t>(placed.sample.input_ids.size());
    }
    batch.add(field.name, std::move(values), field.dtype);
  }
}

}  // namespace

Batch make_batch(std::span<const PlacedSample> samples, const Schema& labels, int64_t max_position_embeddings) {
  std::vector<int32_t> input_ids, token_type_ids, position_ids, token_keys, cu_seqlens{0}, sequence_keys;
  std::vector<int64_t> sample_ids;
  size_t tokens = 0;
  int32_t longest = 0;
  for (const PlacedSample& placed : samples) tokens += placed.sample.input_ids.size();
  for (auto* field : {&input_ids, &token_type_ids, &position_ids, &token_keys}) field->reserve(tokens);
  const auto add_sequence = [&](int64_t place, int32_t length) {
    const int32_t key = static_cast<int32_t>(place * max_position_embeddings);
    for (int32_t i = 0; i < length; ++i) {
      position_ids.push_back(i);
      token_keys.push_back(key + i);
    }
    cu_seqlens.push_back(cu_seqlens.back() + length);
    sequence_keys.push_back(key);
    longest = std::max(longest, length);
  };
  const bool has_choices = has_field(labels, kChoiceLengths);
  const int64_t choices = has_choices && !samples.empty() ? static_cast<int64_t>(samples[0].sample.label(kChoiceLengths).size()) : 1;
  for (const auto& [sample, place] : samples) {
    input_ids.insert(input_ids.end(), sample.input_ids.begin(), sample.input_ids.end());
    token_type_ids.insert(token_type_ids.end(), sample.token_type_ids.begin(), sample.token_type_ids.end());
    const auto whole = static_cast<int32_t>(sample.input_ids.size());
    const std::span<const int32_t> lengths = has_choices ? std::span(sample.label(kChoiceLengths)) : std::span(&whole, 1);
    MPIBERT_CHECK(static_cast<int64_t>(lengths.size()) == choices, kCorrupt, "sample ", sample.id, " has ", lengths.size(),
                  " choices, sample ", samples[0].sample.id, " has ", choices, "; prepare the data again");
    for (int64_t c = 0; c < choices; ++c) add_sequence(place * choices + c, lengths[static_cast<size_t>(c)]);
    sample_ids.push_back(sample.id);
  }
  Batch batch;
  batch.set_extent(static_cast<int64_t>(tokens), static_cast<int64_t>(sequence_keys.size()), longest, choices);
  batch.set_sample_ids(std::move(sample_ids));
  batch.add("input_ids", std::move(input_ids));
  batch.add("token_type_ids", std::move(token_type_ids));
  batch.add("position_ids", std::move(position_ids));
  batch.add("token_keys", std::move(token_keys));
  batch.add("cu_seqlens", std::move(cu_seqlens));
  batch.add("sequence_keys", std::move(sequence_keys));
  append_labels(samples, labels, batch);
  return batch;
}

void check_limits(const ModelLimits& limits, const Dataset& dataset) {
  const int64_t longest = dataset.longest(), vocabulary_size = dataset.manifest().vocabulary_size;
  MPIBERT_CHECK(dataset.longest_sequence() <= limits.max_position_embeddings, kInvalidArgument, "the data set has sequences of up to ",
                dataset.longest_sequence(), " tokens, the model has ", limits.max_position_embeddings,
                " positions (max_position_embeddings); prepare the data with a smaller max_seq_length");
  MPIBERT_CHECK(vocabulary_size <= limits.vocab_size, kInvalidArgument, "the data set was made with a vocabulary of ", vocabulary_size,
                " tokens, the model has ", limits.vocab_size, " (vocab_size); prepare the data with the model's vocabulary");
  MPIBERT_CHECK(longest <= limits.micro_tokens, kInvalidArgument, "the data set has a sample of ", longest,
                " tokens, which does not fit in a micro-batch of micro_tokens = ", limits.micro_tokens);
  const int64_t choices = dataset.choices();
  MPIBERT_CHECK(limits.micro_tokens <= std::numeric_limits<int32_t>::max() && limits.batch_size > 0 &&
                    limits.batch_size <= std::numeric_limits<int32_t>::max() / limits.max_position_embeddings / choices,
                kInvalidArgument, "a global batch of ", limits.batch_size, choices > 1 ? str_cat(" times ", choices) : "",
                " sequences of up to ", limits.max_position_embeddings,
                " tokens; there are 2^31 keys for tokens, and at least one is needed");
}

}  // namespace mpibert
