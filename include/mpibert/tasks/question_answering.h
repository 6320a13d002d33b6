#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mpibert/data/dataset.h"
#include "mpibert/tasks/squad.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert {

// A context that is longer than a sequence is asked about in windows that overlap: features. Two conventions make them, which differ in
// their number, their labels and in how an answer gets its text:
//   kRunQa     transformers' run_qa.py: the context is tokenized as it stands and answers are found by offsets; doc_stride is the overlap
//              of two windows; the question is not cut. One difference: an answer that begins in the last token of a window is labelled
//              there, where that script runs on to the padding.
//   kRunSquad  Google's run_squad.py: the context is split at white space, each word tokenized alone, and answers are words, brought back
//              to the characters that were predicted by aligning the text with itself without spaces; doc_stride is the step from window to
//              window; the question is cut to max_query_length.
// Sources: github.com/huggingface/transformers, examples/pytorch/question-answering; github.com/google-research/bert.
enum class QaConvention : uint8_t { kRunQa, kRunSquad };

struct QaOptions {
  QaConvention convention = QaConvention::kRunQa;
  int64_t max_seq_length = 384;  // tokens of a feature at most, [CLS] and [SEP] among them
  int64_t doc_stride = 128;
  int64_t max_query_length = 64;  // of kRunSquad
};

// A context in pieces.
struct QaContext {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<Span> places;  // of each piece, in characters of the text
  std::vector<Span> words;   // the word of each piece: of kRunQa as the tokenizer splits, of kRunSquad as white space does; in characters
};
QaContext encode_context(const BertTokenizer& tokenizer, std::string text, QaConvention convention);

// [CLS] question [SEP] pieces begin .. end-1 of the context [SEP]
struct QaFeature {
  std::vector<int32_t> input_ids, token_type_ids;
  int32_t first = 0;  // where the pieces of the context begin
  int32_t begin = 0, end = 0;
};
// The features of a question, in the order of their windows. Throws kInvalidArgument where a question leaves no room for the context.
std::vector<QaFeature> encode_question(const BertTokenizer& tokenizer, const std::string& question, const QaContext& context,
                                       const QaOptions& options);

// Which pieces of the context an answer is: {first, last}. Of kRunSquad nothing if its words do not hold its text; of kRunQa
// nothing if it reaches into what has no piece at either end of the context.
std::optional<Span> answer_pieces(const BertTokenizer& tokenizer, const QaContext& context, const SquadAnswer& answer,
                                  QaConvention convention);
// Leaves out questions whose answer kRunSquad would lose that way, as run_squad.py does before training; returns how many.
int64_t drop_lost_answers(SquadData& data);
// start_position and end_position of a feature: of the pieces if the window has them all, otherwise {0, 0}, the [CLS] that stands for no
// answer.
Span positions_of(const QaFeature& feature, const std::optional<Span>& pieces);

// How logits become answers.
struct QaScoring {
  int64_t n_best_size = 20;
  int64_t max_answer_length = 30;          // tokens
  double null_score_diff_threshold = 0.0;  // no answer where its score is more than this above that of the best answer
};

// One entry of nbest_predictions.json.
struct QaCandidate {
  std::string text;
  double probability = 0, start_logit = 0, end_logit = 0;
};
struct QaPrediction {
  std::string text;                     // "": none
  double null_odds = 0;                 // score of no answer minus that of the best answer; of questions that may have none
  std::vector<QaCandidate> candidates;  // best first
};

// The answer to one question from the logits [length, 2] of its features: the n_best_size starts and as many ends of every window, paired,
// as the convention's script does; `may_be_impossible` for data of version 2.0. Features of kRunQa are not padded, so padding takes no
// place among the best.
QaPrediction predict_answer(const BertTokenizer& tokenizer, const QaContext& context, std::span<const QaFeature> features,
                            std::span<const Prediction> logits, QaConvention convention, const QaScoring& scoring, bool may_be_impossible);

// What transformers' pipeline("question-answering") gives (version 4.57; 5 has it no more), for features of kRunQa.
struct QaPipelineOptions {
  int64_t top_k = 1;
  int64_t max_answer_len = 15;            // tokens
  bool handle_impossible_answer = false;  // no answer is one of the answers
  bool align_to_words = true;             // an answer has no parts of words
};
struct QaAnswer {
  double score = 0;
  int64_t start = 0, end = 0;  // characters of the context
  std::string answer{};
};
// At most top_k answers, best first, and at least one: {0, 0, 0, ""} of a context without tokens. A score is the probability of the start
// times that of the end, each over the tokens of the context and [CLS] of one window; those of pairs that give the same text but for case
// are added up, over all windows.
std::vector<QaAnswer> pipeline_answers(const BertTokenizer& tokenizer, const QaContext& context, std::span<const QaFeature> features,
                                       std::span<const Prediction> logits, const QaPipelineOptions& options);

// A split as it was prepared: its questions and, in the order of the samples of its shards, their features. Made again from the raw file
// that stands beside the shards, because that file is smaller than what scoring needs of it (places of every token, texts, answers), and
// one thing cannot contradict itself.
struct QaSplit {
  SquadData data;
  QaOptions options;
  std::vector<QaContext> contexts;
  std::vector<std::vector<QaFeature>> features;  // of each question

  int64_t feature_count() const;
};
QaSplit make_qa_split(const BertTokenizer& tokenizer, SquadData data, const QaOptions& options);  // on all threads
// What a run was prepared with, for its manifest, and back. The name of the raw file of a split.
std::vector<std::pair<std::string, std::string>> to_manifest(const QaOptions& options);
QaOptions qa_options_of(const Manifest& manifest);
std::string raw_squad_file(const std::string& split);
// The questions of a raw file, of a folder of the task's raw files, or of shards, beside which their raw file stands. Throws as
// parse_squad, and kNotFound.
SquadData read_squad(const Task& task, const std::filesystem::path& path, const std::string& split);
// Throws kNotFound, and kCorrupt if the raw file is not the one that was prepared.
QaSplit open_qa_split(const BertTokenizer& tokenizer, const std::filesystem::path& folder, const std::string& split);

// Answers to all questions, in order; logits[i] belongs to feature i.
std::vector<QaPrediction> predict_answers(const Task& task, const BertTokenizer& tokenizer, const QaSplit& split,
                                          std::span<const Prediction> logits, const QaScoring& scoring);
// The official scores of a task's answers: score_squad1, or score_squad2 with odds where questions may have no answer.
Scores score_answers(const Task& task, const QaSplit& split, std::span<const QaPrediction> answers);

}  // namespace mpibert
