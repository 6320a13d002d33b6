#include "base/parallel.h"
#include "mpibert/base/error.h"
#include "mpibert/base/sha256.h"
#include "mpibert/tasks/question_answering.h"
#include "tasks/prepare_plan.h"
#include "tasks/raw_files.h"

namespace mpibert {

namespace {

constexpr const char* kConventionNames[] = {"run_qa", "run_squad"};  // by QaConvention

std::string option_of(const Manifest& manifest, const std::string& name) {
  const std::optional<std::string> value = manifest.option(name);
  MPIBERT_CHECK(value, kCorrupt, "manifest.json: the option \"", name, "\" of question answering is missing; prepare the data again");
  return *value;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> to_manifest(const QaOptions& options) {
  return {{"qa_features", kConventionNames[static_cast<size_t>(options.convention)]},
          {"doc_stride", std::to_string(options.doc_stride)},
          {"max_query_length", std::to_string(options.max_query_length)}};
}

QaOptions qa_options_of(const Manifest& manifest) {
  return {.convention = option_of(manifest, "qa_features") == kConventionNames[0] ? QaConvention::kRunQa : QaConvention::kRunSquad,
          .max_seq_length = manifest.max_seq_length,
          .doc_stride = manifest.whole_number("doc_stride"),
          .max_query_length = manifest.whole_number("max_query_length")};
}

std::string raw_squad_file(const std::string& split) { return "squad-" + split + ".json"; }

int64_t QaSplit::feature_count() const {
  int64_t count = 0;
  for (const auto& of_question : features) count += static_cast<int64_t>(of_question.size());
  return count;
}

QaSplit make_qa_split(const BertTokenizer& tokenizer, SquadData data, const QaOptions& options) {
  QaSplit split{.data = std::move(data), .options = options, .contexts = {}, .features = {}};
  split.contexts.resize(split.data.contexts.size());
  split.features.resize(split.data.questions.size());
  for_each_in_parallel(static_cast<int64_t>(split.contexts.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    split.contexts[at] = encode_context(tokenizer, split.data.contexts[at], options.convention);
  });
  for_each_in_parallel(static_cast<int64_t>(split.features.size()), [&](int64_t i) {
    const SquadQuestion& question = split.data.questions[static_cast<size_t>(i)];
    split.features[static_cast<size_t>(i)] = encode_question(tokenizer, question.text, split.contexts[question.context], options);
  });
  return split;
}

SquadData read_squad(const Task& task, const std::filesystem::path& path, const std::string& split) {
  const bool prepared = std::filesystem::exists(path / "manifest.json");
  const std::filesystem::path file = prepared ? path / raw_squad_file(split) : raw_file_of(task, path, split);
  return parse_squad(read_squad_text(file), file.string());
}

QaSplit open_qa_split(const BertTokenizer& tokenizer, const std::filesystem::path& folder, const std::string& split) {
  const Manifest manifest = read_manifest(folder);
  const QaOptions options = qa_options_of(manifest);
  const std::filesystem::path file = folder / raw_squad_file(split);
  const std::string text = read_squad_text(file);
  MPIBERT_CHECK(sha256_hex(text) == option_of(manifest, "sha256_" + raw_squad_file(split)), kCorrupt, file.string(),
                " is not the file that was prepared; prepare the data again");
  SquadData data = parse_squad(text, file.string());
  if (split == "train" && options.convention == QaConvention::kRunSquad) drop_lost_answers(data);
  QaSplit opened = make_qa_split(tokenizer, std::move(data), options);
  MPIBERT_CHECK(opened.feature_count() == manifest.split(split).count(), kCorrupt, folder.string(), ": split '", split, "' has ",
                manifest.split(split).count(), " samples, but its raw file makes ", opened.feature_count(), "; prepare the data again");
  return opened;
}

std::vector<QaPrediction> predict_answers(const Task& task, const BertTokenizer& tokenizer, const QaSplit& split,
                                          std::span<const Prediction> logits, const QaScoring& scoring) {
  MPIBERT_CHECK(static_cast<int64_t>(logits.size()) == split.feature_count(), kInvalidArgument, "logits of ", logits.size(),
                " features, expected ", split.feature_count());
  std::vector<size_t> begins(1, 0);
  for (const auto& features : split.features) {
    for (size_t i = 0; i < features.size(); ++i)
      MPIBERT_CHECK(logits[begins.back() + i].values.size() == 2 * features[i].input_ids.size(), kInvalidArgument, "feature ",
                    begins.back() + i, " has ", logits[begins.back() + i].values.size(), " logits, expected two for each of ",
                    features[i].input_ids.size(), " tokens");
    begins.push_back(begins.back() + features.size());
  }
  std::vector<QaPrediction> answers(split.features.size());
  for_each_in_parallel(static_cast<int64_t>(answers.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    answers[at] =
        predict_answer(tokenizer, split.contexts[split.data.questions[at].context], split.features[at],
                       logits.subspan(begins[at], split.features[at].size()), split.options.convention, scoring, task.may_be_impossible);
  });
  return answers;
}

Scores score_answers(const Task& task, const QaSplit& split, std::span<const QaPrediction> answers) {
  SquadPredictions predictions;
  NullOdds odds;
  for (size_t i = 0; i < answers.size(); ++i) {
    predictions[split.data.questions[i].id] = answers[i].text;
    odds[split.data.questions[i].id] = answers[i].null_odds;
  }
  return task.may_be_impossible ? score_squad2(split.data, predictions, &odds) : score_squad1(split.data, predictions);
}

}  // namespace mpibert
