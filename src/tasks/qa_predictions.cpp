#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "mpibert/base/error.h"
#include "mpibert/tasks/question_answering.h"
#include "tasks/character_index.h"
#include "tasks/final_text.h"

namespace mpibert {

namespace {

// Starts and ends of one feature.
struct Logits {
  std::span<const float> values;  // [length, 2]
  int32_t length() const { return static_cast<int32_t>(values.size() / 2); }
  float start(int32_t i) const { return values[2 * static_cast<size_t>(i)]; }
  float end(int32_t i) const { return values[2 * static_cast<size_t>(i) + 1]; }
};

// A pair of a start and an end in a feature, or no answer.
struct Pair {
  size_t feature = 0;
  int32_t first = -1, last = -1;  // pieces of the context; -1: no answer
  float start_logit = 0, end_logit = 0;
  double score() const { return static_cast<double>(start_logit) + static_cast<double>(end_logit); }
};

// Places of the `count` largest values, the largest first. Of equal ones run_squad.py takes the first (Python's sort is stable), run_qa.py
// the last (argsort, reversed).
template <class Value>
std::vector<int32_t> best_places(int32_t length, int64_t count, bool last_first, const Value& value) {
  std::vector<int32_t> places(static_cast<size_t>(length));
  std::iota(places.begin(), places.end(), 0);
  if (last_first) std::reverse(places.begin(), places.end());
  std::stable_sort(places.begin(), places.end(), [&](int32_t a, int32_t b) { return value(a) > value(b); });
  places.resize(std::min(places.size(), static_cast<size_t>(count)));
  return places;
}

// Whether the feature is the one that has most of the text around this piece: the smaller of what is left and right of it, and a little for
// longer windows.
bool has_most_context(std::span<const QaFeature> features, size_t which, int32_t piece) {
  double best = -1;
  size_t best_feature = 0;
  for (size_t i = 0; i < features.size(); ++i) {
    const QaFeature& feature = features[i];
    if (piece < feature.begin || piece >= feature.end) continue;
    const double context = std::min(piece - feature.begin, feature.end - 1 - piece) + 0.01 * (feature.end - feature.begin);
    if (context <= best) continue;
    best = context;
    best_feature = i;
  }
  return best_feature == which;
}

std::vector<Pair> pairs_of(std::span<const QaFeature> features, std::span<const Prediction> logits, QaConvention convention,
                           const QaScoring& scoring) {
  const bool by_words = convention == QaConvention::kRunSquad;
  std::vector<Pair> pairs;
  for (size_t i = 0; i < features.size(); ++i) {
    const QaFeature& feature = features[i];
    const Logits values{logits[i].values};
    const auto piece_of = [&](int32_t place) {  // -1 outside the context
      const int32_t piece = place - feature.first + feature.begin;
      return place >= feature.first && piece < feature.end ? piece : -1;
    };
    const std::vector<int32_t> starts =
        best_places(values.length(), scoring.n_best_size, !by_words, [&](int32_t at) { return values.start(at); });
    const std::vector<int32_t> ends =
        best_places(values.length(), scoring.n_best_size, !by_words, [&](int32_t at) { return values.end(at); });
    for (const int32_t start : starts) {
      if (piece_of(start) < 0 || (by_words && !has_most_context(features, i, piece_of(start)))) continue;
      for (const int32_t end : ends)
        if (end >= start && end - start < scoring.max_answer_length && piece_of(end) >= 0)
          pairs.push_back({i, piece_of(start), piece_of(end), values.start(start), values.end(end)});
    }
  }
  return pairs;
}

// Of the feature that is least sure that there is no answer.
Pair no_answer(std::span<const Prediction> logits) {
  Pair least;
  for (size_t i = 0; i < logits.size(); ++i) {
    const Logits values{logits[i].values};
    const Pair pair{.feature = i, .start_logit = values.start(0), .end_logit = values.end(0)};
    if (i == 0 || pair.score() < least.score()) least = pair;
  }
  return least;
}

std::string text_of(const BertTokenizer& tokenizer, const QaContext& context, const CharacterIndex& characters, const Pair& pair,
                    QaConvention convention) {
  if (pair.first < 0) return "";
  const auto first = static_cast<size_t>(pair.first), last = static_cast<size_t>(pair.last);
  if (convention == QaConvention::kRunQa) return std::string(characters.text(context.places[first].begin, context.places[last].end));
  std::vector<std::string> pieces;
  for (size_t i = first; i <= last; ++i) pieces.push_back(tokenizer.vocabulary().token(context.ids[i]));
  return final_text(pieces, join_words(characters.text(context.words[first].begin, context.words[last].end)), tokenizer.options());
}

void set_probabilities(std::vector<QaCandidate>& candidates) {
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  for (const QaCandidate& each : candidates) largest = std::max(largest, each.start_logit + each.end_logit);
  for (QaCandidate& each : candidates) total += each.probability = std::exp(each.start_logit + each.end_logit - largest);
  for (QaCandidate& each : candidates) each.probability /= total;
}

}  // namespace

QaPrediction predict_answer(const BertTokenizer& tokenizer, const QaContext& context, std::span<const QaFeature> features,
                            std::span<const Prediction> logits, QaConvention convention, const QaScoring& scoring, bool may_be_impossible) {
  const bool by_words = convention == QaConvention::kRunSquad;
  const auto wanted = static_cast<size_t>(scoring.n_best_size);
  const Pair none = no_answer(logits);
  std::vector<Pair> pairs = pairs_of(features, logits, convention, scoring);
  if (may_be_impossible) pairs.push_back(none);
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.score() > b.score(); });

  QaPrediction prediction;
  const CharacterIndex characters(context.text);
  std::set<std::string> seen;  // texts; run_qa.py keeps equal ones
  for (const Pair& pair : pairs) {
    if (prediction.candidates.size() >= wanted) break;
    std::string text = text_of(tokenizer, context, characters, pair, convention);
    if (!seen.insert(text).second && by_words && pair.first >= 0) continue;
    prediction.candidates.push_back(
        {.text = std::move(text), .start_logit = static_cast<double>(pair.start_logit), .end_logit = static_cast<double>(pair.end_logit)});
  }
  if (may_be_impossible && !seen.contains(""))
    prediction.candidates.push_back(
        {.text = "", .start_logit = static_cast<double>(none.start_logit), .end_logit = static_cast<double>(none.end_logit)});
  // Both scripts: something that is no answer in place of nothing.
  const auto has_text = [](const QaCandidate& each) { return !each.text.empty(); };
  if (std::none_of(prediction.candidates.begin(), prediction.candidates.end(), has_text))
    prediction.candidates.insert(prediction.candidates.begin(), {.text = "empty"});
  set_probabilities(prediction.candidates);
  prediction.text = prediction.candidates.front().text;
  if (!may_be_impossible) return prediction;
  const QaCandidate& best = *std::find_if(prediction.candidates.begin(), prediction.candidates.end(), has_text);
  prediction.null_odds = none.score() - best.start_logit - best.end_logit;
  prediction.text = prediction.null_odds > scoring.null_score_diff_threshold ? "" : best.text;
  return prediction;
}

}  // namespace mpibert
