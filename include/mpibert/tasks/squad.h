#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/tasks/task.h"

namespace mpibert {

// Stanford Question Answering Dataset: Rajpurkar et al. 2016, arXiv:1606.05250 (1.1); 2018, arXiv:1806.03822 (2.0, with questions that have
// no answer).
//   {"version": "1.1", "data": [{"title": .., "paragraphs": [{"context": TEXT, "qas": [
//     {"id": TEXT, "question": TEXT, "answers": [{"text": TEXT, "answer_start": N}, ..], "is_impossible": BOOL}, ..]}, ..]}, ..]}
// answer_start counts characters (Unicode scalars) of the context. is_impossible is optional, answers too where nothing is scored; other
// members are not read.
struct SquadAnswer {
  std::string text;
  int64_t start = 0;
};
struct SquadQuestion {
  std::string id, text;
  size_t context = 0;  // number in SquadData::contexts
  std::vector<SquadAnswer> answers{};
  bool has_answers = false;  // the member is there, if only as an empty list
  bool impossible = false;   // is_impossible; where that is not there: answers is an empty list
};
struct SquadData {
  std::vector<std::string> contexts;
  std::vector<SquadQuestion> questions;  // in the order of the file
};

// Throws kCorrupt naming `name` and the place for what is no such JSON, lacks a member, uses a question's id twice, or has an answer that
// lies outside its context or is not the text that stands there.
SquadData parse_squad(std::string_view text, const std::string& name);
// The text of a file, which may end in .gz. Throws kNotFound, kPermission, kIo, kCorrupt.
std::string read_squad_text(const std::filesystem::path& path);

// What the official scripts take for equal: lower case, without ASCII punctuation, the words a, an, the, and white space but one space
// between words. As Python's str.lower, re (\b of str) and str.split see characters.
std::string normalize_answer(std::string_view text);

using SquadPredictions = std::map<std::string, std::string>;  // question's id -> answer, "": none
using NullOdds = std::map<std::string, double>;               // question's id -> how much likelier no answer is

// {"id": "text", ..} and {"id": number, ..}. Throw kNotFound; kCorrupt naming file and id.
SquadPredictions read_squad_predictions(const std::filesystem::path& path);
NullOdds read_null_odds(const std::filesystem::path& path);

// The scores of evaluate-v1.1.py: "exact_match" and "f1" in percent over all questions; one without a prediction counts 0. Throws
// kInvalidArgument on a question without an answer.
Scores score_squad1(const SquadData& data, const SquadPredictions& predictions);
// Of evaluate-v2.0.py: "exact", "f1", "total", the same of questions that have an answer ("HasAns_..") and of those that have none
// ("NoAns_.."), where there are such; with odds also "best_exact", "best_exact_thresh", "best_f1" and "best_f1_thresh": what the best
// threshold of the odds would give. A question without a prediction is left out. Where the odds exceed `threshold` no answer is taken for
// the prediction.
Scores score_squad2(const SquadData& data, const SquadPredictions& predictions, const NullOdds* odds = nullptr,
                    double threshold = std::numeric_limits<double>::infinity());

}  // namespace mpibert
