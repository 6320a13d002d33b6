#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/dealt_lines.h"
#include "apps/heads.h"
#include "apps/predict.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "tasks/row_reader.h"

namespace mpibert::apps {

namespace {

constexpr int64_t kDefaultLength = 128;

// "text" or "text<tab>second text" of a line; of a multiple choice "context<tab>choice<tab>choice ...".
std::vector<std::string> texts_of(const std::string& line, const std::string& where, const Task& task) {
  if (task.kind == TaskKind::kMultipleChoice) {
    std::vector<std::string> texts = split_at_tabs(line);
    MPIBERT_CHECK(texts.size() >= 3, kCorrupt, where, ": task ", task.name,
                  " takes a context and at least two choices, with tabs between them");
    return texts;
  }
  const size_t tab = line.find('\t');
  const bool pair = tab != std::string::npos;
  MPIBERT_CHECK(pair == task.pair && line.find('\t', tab + 1) == std::string::npos, kCorrupt, where, ": task ", task.name, " takes ",
                task.pair ? "two texts with one tab between them" : "one text without a tab");
  return pair ? std::vector{line.substr(0, tab), line.substr(tab + 1)} : std::vector{line};
}

// Of one text, of a pair, or of a context with each choice.
std::vector<PipelineSequence> sequences_of(const Task& task, const std::vector<std::string>& texts, const BertTokenizer& tokenizer,
                                           int64_t max_length) {
  if (task.kind != TaskKind::kMultipleChoice)
    return {{tokenizer.encode(texts[0], texts.size() > 1 ? std::optional<std::string_view>(texts[1]) : std::nullopt, max_length)}};
  std::vector<PipelineSequence> sequences;
  for (size_t choice = 1; choice < texts.size(); ++choice)
    sequences.push_back({tokenizer.encode(texts[0], std::string_view(texts[choice]), max_length)});
  return sequences;
}

// scores: one logit a choice.
std::string choice_of(std::span<const std::vector<float>> scores) {
  std::vector<float> logits;
  for (const std::vector<float>& score : scores) logits.push_back(score[0]);
  const std::vector<double> p = softmax(logits);
  const auto best = static_cast<size_t>(best_label(logits));
  return nlohmann::ordered_json{{"label", best}, {"score", p[best]}, {"probabilities", p}}.dump();
}

std::string result_of(const Task& task, const std::vector<std::string>& names, std::span<const float> logits) {
  if (task.kind == TaskKind::kRegression) return nlohmann::ordered_json{{"score", logits[0]}}.dump();
  const std::vector<double> p = softmax(logits);
  const auto best = static_cast<size_t>(best_label(logits));
  nlohmann::ordered_json object = {{"label", names[best]}, {"score", p[best]}, {"probabilities", nlohmann::ordered_json::object()}};
  for (size_t i = 0; i < p.size(); ++i) object["probabilities"][names[i]] = p[i];
  return object.dump();
}

std::vector<float> floats_of(const std::string& bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

// One example after the other, as framed texts.
DealtLines::Next examples_of(const PredictFlags& flags, const Task& task) {
  if (flags.data.empty()) {
    return [&flags, &task, texts = std::make_shared<InputTexts>(flags), number = int64_t{0}]() mutable -> std::optional<std::string> {
      const std::optional<std::string> line = texts->next();
      return line ? std::optional(framed(texts_of(*line, InputTexts::where(flags, ++number), task))) : std::nullopt;
    };
  }
  return [examples = read_raw_split(task, flags.data, flags.split).examples, at = size_t{0}]() mutable -> std::optional<std::string> {
    if (at == examples.size()) return std::nullopt;
    const Example& example = examples[at++];
    std::vector<std::string> texts = {example.text_a};
    if (example.text_b) texts.push_back(*example.text_b);
    texts.insert(texts.end(), example.choices.begin(), example.choices.end());
    return framed(texts);
  };
}

}  // namespace

int predict_task(const PredictFlags& flags) {
  Task task = flags.task.open();
  MPIBERT_CHECK(task.kind != TaskKind::kPretraining, kUsage, "predict labels texts; task ", task.name, " has no labels");
  MPIBERT_CHECK(task.kind != TaskKind::kTokenClassification, kUsage, "--task ", task.name, " labels words: use --pipeline ner");
  MPIBERT_CHECK(flags.input.empty() || flags.data.empty(), kUsage,
                "--input has lines of text, --data raw files of the task; give one of them");
  const bool is_choice = task.kind == TaskKind::kMultipleChoice;
  MPIBERT_CHECK(flags.submission.empty() || !is_choice, kUsage, "--submission is in the form of GLUE's server, which has no task ",
                task.name, "; leave it out");
  MPIBERT_CHECK(flags.submission.empty() || !flags.data.empty(), kUsage,
                "--submission is made of a test file, expected in --data; it is missing");
  Session session = flags.session.open();
  const ModelSource source = open_model_source(flags.model);
  take_labels(task, source.config);
  std::vector<std::string> names = label_names_of(source.config);
  if (names.size() != task.label_names.size()) names = task.label_names;
  task.files.label.clear();  // a row without a gold label is predicted as any other
  const BertTokenizer tokenizer = BertTokenizer::from_model(source.folder);
  const int64_t max_length =
      std::min(flags.max_seq_length > 0 ? flags.max_seq_length : kDefaultLength, source.config.max_position_embeddings);
  LoadedModel model(flags, session, source, head_maker(task),
                    is_choice ? "a classifier of choices (BertForMultipleChoice)" : "a classifier (BertForSequenceClassification)");

  const bool submits = !flags.submission.empty();
  const auto result = [&](std::span<const std::vector<float>> logits) {
    if (is_choice) return choice_of(logits);
    return submits ? std::string(reinterpret_cast<const char*>(logits[0].data()), logits[0].size() * sizeof(float))
                   : result_of(task, names, logits[0]);
  };
  const auto compute = [&](const std::vector<std::string>& examples, int64_t /*first*/) {
    std::vector<PipelineCall> calls;
    for (const std::string& example : examples) {
      calls.push_back({.sequences = sequences_of(task, unframed(example), tokenizer, max_length), .result = result});
    }
    return model.run(calls);
  };
  std::vector<Prediction> predictions;
  const auto use = [&](const std::string& bytes) {
    if (submits) predictions.push_back({static_cast<int64_t>(predictions.size()), floats_of(bytes)});
    else print_line(bytes);
  };
  deal_lines(*session.comm,
             {.open = [&] { return examples_of(flags, task); }, .compute = compute, .use = use, .window_bytes = 16 * flags.micro_tokens});
  if (!submits || session.comm->rank() != 0) return 0;
  write_file_atomically(flags.submission, submission_text(task, predictions));
  print_line(
      nlohmann::ordered_json{{"task", task.name}, {"split", flags.split}, {"count", predictions.size()}, {"submission", flags.submission}}
          .dump());
  return 0;
}

}  // namespace mpibert::apps
