#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/model_inputs.h"
#include "apps/session.h"
#include "apps/train.h"
#include "data/pack.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

struct Settings {
  std::string task, model, input = "-", precision = "fp32", device = "cpu";
  int64_t max_seq_length = 128, micro_tokens = 4096;
};

// "text" or "text<tab>second text" of a line.
PlacedSample sample_of(const std::string& line, int64_t number, const Task& task, const BertTokenizer& tokenizer, int64_t max_length) {
  const size_t tab = line.find('\t');
  const bool pair = tab != std::string::npos;
  MPIBERT_CHECK(pair == task.pair && line.find('\t', tab + 1) == std::string::npos, kCorrupt, "line ", number, ": task ", task.name, " takes ",
                task.pair ? "two texts with one tab between them" : "one text without a tab");
  const std::string_view text = line;
  const Encoding encoding = tokenizer.encode(text.substr(0, tab), pair ? std::optional(text.substr(tab + 1)) : std::nullopt, max_length);
  return {.sample = {.id = number, .input_ids = encoding.ids, .token_type_ids = encoding.type_ids, .labels = {}}, .place = 0};
}

class Predictor {
 public:
  explicit Predictor(const Settings& settings)
      : task_(make_task(settings.task)),
        source_(open_model_source(settings.model)),
        tokenizer_(BertTokenizer::from_model(source_.folder)),
        backend_(make_backend(device_of_rank(settings.device, 0))),
        model_(source_.config, arena_, head_maker(task_)),
        max_length_(std::min(settings.max_seq_length, source_.config.max_position_embeddings)),
        micro_tokens_(std::max(settings.micro_tokens, max_length_)) {
    MPIBERT_CHECK(task_.kind == TaskKind::kClassification, kUsage, "predict labels texts; task ", task_.name, " has no labels");
    names_ = label_names_of(source_.config);
    if (names_.size() != task_.label_names.size()) names_ = task_.label_names;
    arena_.allocate(*backend_, precision_on(backend_->device(), settings.precision), arena_.size());
    std::vector<float> masters = load_masters(source_, arena_, {}, 0);
    arena_.set_values(*backend_, host_tensor(std::span(masters), {arena_.size()}));
    model_.plan(*backend_, arena_.compute(), limits_of(micro_tokens_, source_.config.max_position_embeddings), false);
    model_.allocate(*backend_);
  }

  void add(const std::string& line, int64_t number) {
    PlacedSample placed = sample_of(line, number, task_, tokenizer_, max_length_);
    const auto tokens = static_cast<int64_t>(placed.sample.input_ids.size());
    if (tokens_ + tokens > micro_tokens_) flush();
    tokens_ += tokens;
    waiting_.push_back(std::move(placed));
  }

  void flush() {
    if (waiting_.empty()) return;
    const Batch batch = make_batch(waiting_, {}, source_.config.max_position_embeddings);
    model_.put(*backend_, batch);
    model_.forward(*backend_, {.train = false});
    print_rows(model_.logits(0));
    waiting_.clear();
    tokens_ = 0;
  }

 private:
  void print_rows(const Tensor& logits) const;

  Task task_;
  ModelSource source_;
  BertTokenizer tokenizer_;
  std::unique_ptr<Backend> backend_;
  ParameterArena arena_;
  Model model_;
  int64_t max_length_, micro_tokens_;
  std::vector<std::string> names_;
  std::vector<PlacedSample> waiting_;
  int64_t tokens_ = 0;
};

void Predictor::print_rows(const Tensor& logits) const {
  const std::vector<float> values = host_floats(*backend_, logits);
  const size_t classes = names_.size();
  for (size_t row = 0; row * classes < values.size(); ++row) {
    const std::vector<double> p = softmax(std::span(values).subspan(row * classes, classes));
    const size_t best = static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin());
    nlohmann::ordered_json object = {{"label", names_[best]}, {"score", p[best]}, {"probabilities", nlohmann::ordered_json::object()}};
    for (size_t i = 0; i < classes; ++i) object["probabilities"][names_[i]] = p[i];
    print_line(object.dump());
  }
}

int run(const Settings& settings) {
  Predictor predictor(settings);
  std::ifstream file;
  if (settings.input != "-") {
    file.open(settings.input, std::ios::binary);
    MPIBERT_CHECK(file.is_open(), kNotFound, "cannot open ", settings.input, "; give a file of texts, or - for standard input");
  }
  std::istream& in = settings.input == "-" ? std::cin : file;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    predictor.add(line, ++number);
  }
  predictor.flush();
  return 0;
}

}  // namespace

std::function<int()> declare_predict(Options& options) {
  auto s = std::make_shared<Settings>();
  options.add({.name = "task", .target = &s->task, .help = "what the model was trained on", .choices = task_names(), .required = true});
  options.add({.name = "model", .target = &s->model, .help = "model folder or run (its newest checkpoint)", .required = true});
  options.add({.name = "input", .target = &s->input, .help = "texts, one a line; the second text of a pair after a tab; - is standard input"});
  options.add({.name = "precision", .target = &s->precision, .help = "of computing; fp16 with --device cuda", .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "max-seq-length", .target = &s->max_seq_length, .help = "longer texts are cut to so many tokens", .minimum = 5});
  options.add({.name = "micro-tokens", .target = &s->micro_tokens, .help = "most tokens computed at a time", .minimum = 16, .maximum = 1048576});
  options.add({.name = "device", .target = &s->device, .help = "where to compute", .choices = {"cpu", "cuda"}});
  return [s] { return run(*s); };
}

}  // namespace mpibert::apps
