#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/model_inputs.h"
#include "apps/predict_answers.h"
#include "apps/session.h"
#include "apps/task_flags.h"
#include "apps/train.h"
#include "data/pack.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert::apps {

namespace {

struct Settings {
  TaskFlags task;
  AnswerFlags answers;
  std::string model, input, data, split = "test", submission, precision = "fp32", device = "cpu";
  int64_t max_seq_length = 128, micro_tokens = 4096;
};

// "text" or "text<tab>second text" of a line.
Example example_of(const std::string& line, int64_t number, const Task& task) {
  const size_t tab = line.find('\t');
  const bool pair = tab != std::string::npos;
  MPIBERT_CHECK(pair == task.pair && line.find('\t', tab + 1) == std::string::npos, kCorrupt, "line ", number, ": task ", task.name, " takes ",
                task.pair ? "two texts with one tab between them" : "one text without a tab");
  return {.text_a = line.substr(0, tab), .text_b = pair ? std::optional(line.substr(tab + 1)) : std::nullopt};
}

// Gives the logits of every text, in order.
class Predictor {
 public:
  using Use = std::function<void(std::span<const float> logits)>;

  Predictor(const Settings& settings, const Task& task, const ModelSource& source, Use use)
      : source_(source),
        use_(std::move(use)),
        tokenizer_(BertTokenizer::from_model(source_.folder)),
        backend_(make_backend(device_of_rank(settings.device, 0))),
        model_(source_.config, arena_, head_maker(task)),
        max_length_(std::min(settings.max_seq_length, source_.config.max_position_embeddings)),
        micro_tokens_(std::max(settings.micro_tokens, max_length_)) {
    arena_.allocate(*backend_, precision_on(backend_->device(), settings.precision), arena_.size());
    std::vector<float> masters = load_masters(source_, arena_, {}, 0);
    arena_.set_values(*backend_, host_tensor(std::span(masters), {arena_.size()}));
    model_.plan(*backend_, arena_.compute(), limits_of(micro_tokens_, source_.config.max_position_embeddings), false);
    model_.allocate(*backend_);
  }

  void add(const Example& example) {
    const Encoding encoding = tokenizer_.encode(example.text_a, example.text_b ? std::optional<std::string_view>(*example.text_b) : std::nullopt, max_length_);
    const auto tokens = static_cast<int64_t>(encoding.ids.size());
    if (tokens_ + tokens > micro_tokens_) flush();
    tokens_ += tokens;
    waiting_.push_back({.sample = {.id = 0, .input_ids = encoding.ids, .token_type_ids = encoding.type_ids, .labels = {}}, .place = 0});
  }

  void flush() {
    if (waiting_.empty()) return;
    const Batch batch = make_batch(waiting_, {}, source_.config.max_position_embeddings);
    model_.put(*backend_, batch);
    model_.forward(*backend_, {.train = false});
    const Tensor logits = model_.logits(0);
    const std::vector<float> values = host_floats(*backend_, logits);
    const auto outputs = static_cast<size_t>(logits.shape()[-1]);
    for (size_t row = 0; row < waiting_.size(); ++row) use_(std::span(values).subspan(row * outputs, outputs));
    waiting_.clear();
    tokens_ = 0;
  }

 private:
  ModelSource source_;
  Use use_;
  BertTokenizer tokenizer_;
  std::unique_ptr<Backend> backend_;
  ParameterArena arena_;
  Model model_;
  int64_t max_length_, micro_tokens_;
  std::vector<PlacedSample> waiting_;
  int64_t tokens_ = 0;
};

void print_prediction(const Task& task, const std::vector<std::string>& names, std::span<const float> logits) {
  if (task.kind == TaskKind::kRegression) {
    print_line(nlohmann::ordered_json{{"score", logits[0]}}.dump());
    return;
  }
  const std::vector<double> p = softmax(logits);
  const auto best = static_cast<size_t>(best_label(logits));
  nlohmann::ordered_json object = {{"label", names[best]}, {"score", p[best]}, {"probabilities", nlohmann::ordered_json::object()}};
  for (size_t i = 0; i < p.size(); ++i) object["probabilities"][names[i]] = p[i];
  print_line(object.dump());
}

void add_lines(Predictor& predictor, const Task& task, const std::string& input) {
  std::ifstream file;
  if (input != "-") {
    file.open(input, std::ios::binary);
    MPIBERT_CHECK(file.is_open(), kNotFound, "cannot open ", input, "; give a file of texts, or - for standard input");
  }
  std::istream& in = input == "-" ? std::cin : file;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    predictor.add(example_of(line, ++number, task));
  }
}

int run(const Settings& settings, const Options& options) {
  Task task = settings.task.open();
  MPIBERT_CHECK(task.kind != TaskKind::kPretraining, kUsage, "predict labels texts; task ", task.name, " has no labels");
  int64_t max_seq_length = settings.max_seq_length;
  choose_max_seq_length(options, task, max_seq_length);
  MPIBERT_CHECK(settings.input.empty() || settings.data.empty(), kUsage, "--input has lines of text, --data raw files of the task; give one of them");
  MPIBERT_CHECK(settings.submission.empty() || !settings.data.empty(), kUsage, "--submission is made of a test file, expected in --data; it is missing");
  if (task.kind == TaskKind::kQuestionAnswering)
    return predict_answers({.task = task, .model = settings.model, .input = settings.input, .data = settings.data, .split = settings.split, .precision = settings.precision,
                            .device = settings.device, .max_seq_length = max_seq_length, .micro_tokens = settings.micro_tokens, .flags = settings.answers});
  const ModelSource source = open_model_source(settings.model);
  take_labels(task, source.config);
  std::vector<std::string> names = label_names_of(source.config);
  if (names.size() != task.label_names.size()) names = task.label_names;
  task.files.label.clear();  // a row without a gold label is predicted as any other

  std::vector<Prediction> collected;
  Predictor predictor(settings, task, source, [&](std::span<const float> logits) {
    if (settings.submission.empty()) print_prediction(task, names, logits);
    else collected.push_back({static_cast<int64_t>(collected.size()), {logits.begin(), logits.end()}});
  });
  if (settings.data.empty()) {
    add_lines(predictor, task, settings.input.empty() ? "-" : settings.input);
  } else {
    for (const Example& example : read_raw_split(task, settings.data, settings.split).examples) predictor.add(example);
  }
  predictor.flush();
  if (settings.submission.empty()) return 0;
  write_file_atomically(settings.submission, submission_text(task, collected));
  print_line(nlohmann::ordered_json{{"task", task.name}, {"split", settings.split}, {"count", collected.size()}, {"submission", settings.submission}}.dump());
  return 0;
}

}  // namespace

std::function<int()> declare_predict(Options& options) {
  auto s = std::make_shared<Settings>();
  s->task.declare(options, "what the model was trained on");
  options.add({.name = "model", .target = &s->model, .help = "model folder or run (its newest checkpoint)", .required = true});
  options.add({.name = "input", .target = &s->input, .help = "texts, one a line; the second text of a pair, or the context of a question, after a tab; - is standard input, which is the default"});
  options.add({.name = "data", .target = &s->data, .help = "instead: folder of raw files of the task, or one raw file"});
  options.add({.name = "split", .target = &s->split, .help = "with --data: which part of it", .choices = {"train", "dev", "dev_mismatched", "test", "test_mismatched"}});
  options.add({.name = "submission", .target = &s->submission, .help = "with --data: file to write 'index<tab>prediction' to, as GLUE's server takes it"});
  options.add({.name = "precision", .target = &s->precision, .help = "of computing; fp16 with --device cuda", .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "max-seq-length", .target = &s->max_seq_length, .help = "longer texts are cut to so many tokens, contexts into windows of so many; of question answering 384 if not given", .minimum = 5});
  options.add({.name = "micro-tokens", .target = &s->micro_tokens, .help = "most tokens computed at a time", .minimum = 16, .maximum = 1048576});
  options.add({.name = "device", .target = &s->device, .help = "where to compute", .choices = {"cpu", "cuda"}});
  s->answers.declare(options);
  return [s, &options] { return run(*s, options); };
}

}  // namespace mpibert::apps
