#include <algorithm>
#include <cmath>
#include <limits>

#include "mpibert/base/error.h"
#include "mpibert/tasks/question_answering.h"
#include "tasks/character_index.h"
#include "tasks/python_text.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

struct Candidate {
  double score;
  int32_t first, last;  // pieces of the context
};

// Softmax of one column of the logits over the places that may be answers: the context, and every [CLS], whose own probability counts for
// no answer but takes its share.
std::vector<double> probabilities(const QaFeature& feature, std::span<const float> logits, size_t column, int32_t cls_id) {
  const size_t context_begin = static_cast<size_t>(feature.first),
               context_end = context_begin + static_cast<size_t>(feature.end - feature.begin);
  std::vector<double> values(feature.input_ids.size(), -std::numeric_limits<double>::infinity());
  for (size_t i = 0; i < values.size(); ++i)
    if ((i >= context_begin && i < context_end) || feature.input_ids[i] == cls_id) values[i] = static_cast<double>(logits[2 * i + column]);
  const double largest = *std::max_element(values.begin(), values.end());
  double total = 0;
  for (double& value : values) total += value = std::exp(value - largest);
  for (double& value : values) value /= total;
  return values;
}

// The `count` best pairs of a start and an end at most max_answer_len tokens apart.
std::vector<Candidate> best_candidates(const QaFeature& feature, const std::vector<double>& starts, const std::vector<double>& ends,
                                       int64_t count, int64_t max_answer_len) {
  std::vector<Candidate> candidates;
  for (int32_t first = feature.begin; first < feature.end; ++first) {
    for (int32_t last = first; last < std::min<int64_t>(feature.end, first + max_answer_len); ++last) {
      const auto place = [&](int32_t piece) { return static_cast<size_t>(piece - feature.begin + feature.first); };
      candidates.push_back({starts[place(first)] * ends[place(last)], first, last});
    }
  }
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : std::pair(a.first, a.last) < std::pair(b.first, b.last);
  };
  const size_t kept = std::min(candidates.size(), static_cast<size_t>(count));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(kept), candidates.end(), better);
  candidates.resize(kept);
  return candidates;
}

// Characters of the context: of the pieces, or of their words as far as they are in the window.
Span place_of(const QaContext& context, const QaFeature& feature, const Candidate& candidate, bool align_to_words) {
  const auto at = [](int32_t piece) { return static_cast<size_t>(piece); };
  if (!align_to_words) return {context.places[at(candidate.first)].begin, context.places[at(candidate.last)].end};
  return {std::max(context.words[at(candidate.first)].begin, context.places[at(feature.begin)].begin),
          std::min(context.words[at(candidate.last)].end, context.places[at(feature.end - 1)].end)};
}

}  // namespace

std::vector<QaAnswer> pipeline_answers(const BertTokenizer& tokenizer, const QaContext& context, std::span<const QaFeature> features,
                                       std::span<const Prediction> logits, const QaPipelineOptions& options) {
  const CharacterIndex characters(context.text);
  std::vector<QaAnswer> answers;
  std::vector<std::u32string> lowered;  // of each answer: those that differ in case alone are one
  double none = features.empty() ? 0.0 : std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < features.size(); ++i) {
    const QaFeature& feature = features[i];
    const std::vector<double> starts = probabilities(feature, logits[i].values, 0, tokenizer.vocabulary().cls_id()),
                              ends = probabilities(feature, logits[i].values, 1, tokenizer.vocabulary().cls_id());
    none = std::min(none, starts[0] * ends[0]);
    const int64_t count = options.align_to_words ? 2 * options.top_k + 10 : options.top_k;  // some become one when they are words
    const std::vector<Candidate> candidates = best_candidates(feature, starts, ends, count, options.max_answer_len);
    for (const Candidate& candidate : candidates) {
      const Span place = place_of(context, feature, candidate, options.align_to_words);
      const std::string_view text = characters.text(place.begin, place.end);
      std::u32string lower = python_lower(unicode::to_utf32(text));
      const auto same = std::find(lowered.begin(), lowered.end(), lower);
      if (same != lowered.end()) {
        answers[static_cast<size_t>(same - lowered.begin())].score += candidate.score;
        continue;
      }
      answers.push_back({.score = candidate.score, .start = place.begin, .end = place.end, .answer = std::string(text)});
      lowered.push_back(std::move(lower));
    }
    // Where there are fewer, that pipeline also takes [CLS], whose scores it has set to 0.
    if (std::ssize(candidates) < count && std::find(lowered.begin(), lowered.end(), U"") == lowered.end()) {
      answers.emplace_back();
      lowered.emplace_back();
    }
  }
  if (options.handle_impossible_answer) answers.push_back({.score = none});
  if (answers.empty()) answers.emplace_back();
  std::stable_sort(answers.begin(), answers.end(), [](const QaAnswer& a, const QaAnswer& b) { return a.score > b.score; });
  answers.resize(std::min(answers.size(), static_cast<size_t>(options.top_k)));
  return answers;
}

}  // namespace mpibert
