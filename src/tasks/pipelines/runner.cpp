#include <algorithm>
#include <numeric>

#include "data/pack.h"
#include "mpibert/base/error.h"
#include "mpibert/ops/host_cast.h"
#include "mpibert/tasks/pipeline.h"

namespace mpibert {

namespace {

// A sequence of the window: which call's, which of its sequences.
struct Place {
  size_t call = 0, sequence = 0;
  int64_t tokens = 0, positions = 0;
};

std::vector<Place> longest_first(std::span<const PipelineCall> calls) {
  std::vector<Place> places;
  for (size_t call = 0; call < calls.size(); ++call) {
    for (size_t i = 0; i < calls[call].sequences.size(); ++i) {
      const PipelineSequence& sequence = calls[call].sequences[i];
      places.push_back({call, i, static_cast<int64_t>(sequence.encoding.ids.size()), static_cast<int64_t>(sequence.positions.size())});
    }
  }
  std::ranges::stable_sort(places, [](const Place& a, const Place& b) { return a.tokens > b.tokens; });
  return places;
}

// As many of the first places as a batch holds.
size_t fitting(std::span<const Place> places, const BatchLimits& limits) {
  int64_t tokens = 0, positions = 0;
  size_t count = 0;
  while (count < places.size() && static_cast<int64_t>(count) < limits.sequences && tokens + places[count].tokens <= limits.tokens &&
         positions + places[count].positions <= limits.predictions) {
    tokens += places[count].tokens;
    positions += places[count++].positions;
  }
  MPIBERT_CHECK(count > 0, kInvalidArgument, "a sequence of ", places[0].tokens, " tokens, ", places[0].positions,
                " of them masked, does not fit in a batch of ", limits.tokens, " tokens and ", limits.predictions,
                " masked; raise micro_tokens");
  return count;
}

PlacedSample sample_of(const PipelineSequence& sequence, bool has_positions) {
  PlacedSample placed{.sample = {.id = 0, .input_ids = sequence.encoding.ids, .token_type_ids = sequence.encoding.type_ids, .labels = {}},
                      .place = 0};
  if (has_positions) placed.sample.labels.emplace_back("masked_lm_positions", sequence.positions);
  return placed;
}

}  // namespace

BatchLimits PipelineRunner::limits(const BertConfig& config, int64_t micro_tokens) {
  const int64_t longest = config.max_position_embeddings, tokens = std::max(micro_tokens, longest);
  // No sequence is shorter than [CLS] [SEP]. One may be all [MASK]; a batch of them is rare, and its logits are large.
  return {.tokens = tokens, .sequences = tokens / 2, .predictions = std::max(longest, tokens / 16), .max_seq_length = longest};
}

std::vector<std::string> PipelineRunner::run(std::span<const PipelineCall> calls) const {
  const Per per = model_.head().terms()[0].per;
  const Schema labels = per == Per::kPrediction ? Schema{{"masked_lm_positions", DType::kInt32, Per::kPrediction}} : Schema{};
  std::vector<std::string> results(calls.size());
  std::vector<std::vector<std::vector<float>>> logits(calls.size());
  std::vector<size_t> missing(calls.size());
  for (size_t call = 0; call < calls.size(); ++call) {
    missing[call] = calls[call].sequences.size();
    logits[call].resize(missing[call]);
  }
  const std::vector<Place> all = longest_first(calls);
  for (std::span<const Place> rest = all; !rest.empty();) {
    const std::span<const Place> places = rest.first(fitting(rest, model_.limits()));
    rest = rest.subspan(places.size());
    std::vector<PlacedSample> samples;
    for (const Place& place : places) samples.push_back(sample_of(calls[place.call].sequences[place.sequence], per == Per::kPrediction));
    const Batch batch = make_batch(samples, labels, model_.config().max_position_embeddings);
    model_.put(backend_, batch);
    model_.forward(backend_, {.train = false});
    const Tensor rows = model_.logits(0);
    const std::vector<float> values = host_floats(backend_, rows);
    auto at = values.begin();
    for (const Place& place : places) {
      const int64_t count = per == Per::kPrediction ? place.positions : per == Per::kToken ? place.tokens : 1;
      logits[place.call][place.sequence].assign(at, at + count * rows.shape()[-1]);
      at += count * rows.shape()[-1];
      if (--missing[place.call] > 0) continue;
      results[place.call] = calls[place.call].result(logits[place.call]);  // at once: logits are much larger than most results
      logits[place.call].clear();
    }
  }
  return results;
}

}  // namespace mpibert
