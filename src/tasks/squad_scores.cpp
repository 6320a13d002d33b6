#include <algorithm>
#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/tasks/squad.h"
#include "tasks/python_text.h"
#include "text/unicode.h"

// The formulas of evaluate-v1.1.py (Rajpurkar et al. 2016) and evaluate-v2.0.py (Rajpurkar et al. 2018), as published at
// rajpurkar.github.io/SQuAD-explorer.
namespace mpibert {

namespace {

bool is_ascii_punctuation(char32_t c) { return (c > 32 && c < 48) || (c > 57 && c < 65) || (c > 90 && c < 97) || (c > 122 && c < 127); }

// A blank for each a, an and the between two \b: the words of a text, as \w sees them, are looked through.
std::u32string without_articles(std::u32string_view text) {
  std::u32string out;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    const bool in_word = is_python_word(text[begin]);
    while (end < text.size() && is_python_word(text[end]) == in_word) ++end;
    const std::u32string_view part = text.substr(begin, end - begin);
    if (part == U"a" || part == U"an" || part == U"the") out += U' ';
    else out += part;
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view normalized) {
  std::vector<std::string_view> words;
  while (!normalized.empty()) {
    const size_t blank = std::min(normalized.find(' '), normalized.size());
    words.push_back(normalized.substr(0, blank));
    normalized.remove_prefix(std::min(blank + 1, normalized.size()));
  }
  return words;
}

// Words of both, each as often as both have it.
int64_t shared_words(std::vector<std::string_view> a, std::vector<std::string_view> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::vector<std::string_view> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return static_cast<int64_t>(both.size());
}

// Of normalised texts.
double f1_of(const std::string& prediction, const std::string& answer) {
  const std::vector<std::string_view> predicted = words_of(prediction), expected = words_of(answer);
  const auto same = static_cast<double>(shared_words(predicted, expected));
  if (same == 0) return 0;
  const double precision = same / static_cast<double>(predicted.size()), recall = same / static_cast<double>(expected.size());
  return 2 * precision * recall / (precision + recall);
}

struct Score {
  double exact = 0, f1 = 0;
};

// The best of all answers. 2.0: two empty texts agree.
Score score_of(const std::string& prediction, const std::vector<std::string>& answers, bool empty_agree) {
  const std::string normalized = normalize_answer(prediction);
  Score best;
  for (const std::string& answer : answers) {
    best.exact = std::max(best.exact, normalized == answer ? 1.0 : 0.0);
    best.f1 = std::max(best.f1, empty_agree && normalized.empty() && answer.empty() ? 1.0 : f1_of(normalized, answer));
  }
  return best;
}

void note_missing(int64_t missing, int64_t all, const char* consequence) {
  if (missing > 0) log_info(missing, " of ", all, " questions have no prediction; ", consequence);
}

struct Entry {
  const SquadQuestion* question;
  Score score;
};

void add_means(Scores& scores, const std::string& prefix, const std::vector<Entry>& entries) {
  Score sum;
  for (const Entry& entry : entries) {
    sum.exact += entry.score.exact;
    sum.f1 += entry.score.f1;
  }
  const auto total = static_cast<double>(entries.size());
  scores.emplace_back(prefix + "exact", 100.0 * sum.exact / total);
  scores.emplace_back(prefix + "f1", 100.0 * sum.f1 / total);
  scores.emplace_back(prefix + "total", total);
}

// Thresholds from below every odds upwards: from no answer to any question, in the order of the odds, to the predictions.
void add_best(Scores& scores, const std::string& name, double Score::*of, const std::vector<Entry>& entries,
              const SquadPredictions& predictions, const NullOdds& odds, int64_t without_answer) {
  std::vector<std::pair<double, double>> steps;  // odds, and what the score of that question gains when its prediction is taken
  for (const Entry& entry : entries) {
    const auto found = odds.find(entry.question->id);
    if (found == odds.end()) continue;
    const double gain = !entry.question->answers.empty() ? entry.score.*of : predictions.at(entry.question->id).empty() ? 0.0 : -1.0;
    steps.emplace_back(found->second, gain);
  }
  std::stable_sort(steps.begin(), steps.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  double current = static_cast<double>(without_answer), best = current, threshold = 0;
  for (const auto& [at, gain] : steps) {
    current += gain;
    if (current <= best) continue;
    best = current;
    threshold = at;
  }
  scores.emplace_back("best_" + name, 100.0 * best / static_cast<double>(entries.size()));
  scores.emplace_back("best_" + name + "_thresh", threshold);
}

}  // namespace

std::string normalize_answer(std::string_view text) {
  std::u32string characters = python_lower(unicode::to_utf32(text));
  std::erase_if(characters, is_ascii_punctuation);
  std::string normalized;
  for (const char32_t c : join_python_words(without_articles(characters))) unicode::append_utf8(c, normalized);
  return normalized;
}

Scores score_squad1(const SquadData& data, const SquadPredictions& predictions) {
  Score sum;
  int64_t missing = 0;
  for (const SquadQuestion& question : data.questions) {
    MPIBERT_CHECK(!question.answers.empty(), kInvalidArgument, "question ", question.id,
                  " has no answer to score with; data of version 2.0 are task squad2");
    const auto found = predictions.find(question.id);
    missing += found == predictions.end() ? 1 : 0;
    if (found == predictions.end()) continue;
    std::vector<std::string> answers;
    for (const SquadAnswer& answer : question.answers) answers.push_back(normalize_answer(answer.text));
    const Score score = score_of(found->second, answers, false);
    sum.exact += score.exact;
    sum.f1 += score.f1;
  }
  const auto total = static_cast<double>(data.questions.size());
  note_missing(missing, static_cast<int64_t>(data.questions.size()), "each counts 0");
  return {{"exact_match", 100.0 * sum.exact / total}, {"f1", 100.0 * sum.f1 / total}};
}

Scores score_squad2(const SquadData& data, const SquadPredictions& predictions, const NullOdds* odds, double threshold) {
  std::vector<Entry> raw;
  int64_t missing = 0, without_answer = 0;
  for (const SquadQuestion& question : data.questions) {
    MPIBERT_CHECK(question.has_answers, kInvalidArgument, "question ", question.id, " has no \"answers\" to score with");
    without_answer += question.answers.empty() ? 1 : 0;
    const auto found = predictions.find(question.id);
    missing += found == predictions.end() ? 1 : 0;
    if (found == predictions.end()) continue;
    std::vector<std::string> answers;
    for (const SquadAnswer& answer : question.answers)
      if (std::string normalized = normalize_answer(answer.text); !normalized.empty()) answers.push_back(std::move(normalized));
    if (answers.empty()) answers.emplace_back();
    raw.push_back({&question, score_of(found->second, answers, true)});
  }
  note_missing(missing, static_cast<int64_t>(data.questions.size()), "they are left out");
  MPIBERT_CHECK(!raw.empty(), kInvalidArgument, "no question has a prediction");

  std::vector<Entry> all = raw, with_answer, impossible;
  for (Entry& entry : all) {
    const bool has_answer = !entry.question->answers.empty();
    const auto found = odds ? odds->find(entry.question->id) : NullOdds::const_iterator{};
    if (odds && found != odds->end() && found->second > threshold) entry.score = has_answer ? Score{} : Score{1, 1};
    (has_answer ? with_answer : impossible).push_back(entry);
  }
  Scores scores;
  add_means(scores, "", all);
  if (!with_answer.empty()) add_means(scores, "HasAns_", with_answer);
  if (!impossible.empty()) add_means(scores, "NoAns_", impossible);
  if (!odds) return scores;
  add_best(scores, "exact", &Score::exact, raw, predictions, *odds, without_answer);
  add_best(scores, "f1", &Score::f1, raw, predictions, *odds, without_answer);
  return scores;
}

}  // namespace mpibert
