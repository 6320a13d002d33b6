#include "apps/predict.h"

#include <algorithm>

#include "apps/declarations.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

// What only --pipeline takes (a pipeline's row says which of them are its own), what only --task takes, and of that what only files of
// answers take.
const std::vector<std::string> kPipelineOptions = {"text",
                                                   "input-format",
                                                   "top-k",
                                                   "function-to-apply",
                                                   "aggregation-strategy",
                                                   "ignore-labels",
                                                   "targets",
                                                   "candidate-labels",
                                                   "hypothesis-template",
                                                   "multi-label",
                                                   "pooling",
                                                   "normalize",
                                                   "truncation",
                                                   "max-answer-len",
                                                   "handle-impossible-answer",
                                                   "align-to-words",
                                                   "doc-stride"};
const std::vector<std::string> kTaskOptions = {"data", "split", "submission", "text-column", "second-text-column", "choice-columns"};
const std::vector<std::string> kAnswerFileOptions = {"predictions", "qa-features",       "max-query-length",
                                                     "n-best-size", "max-answer-length", "null-score-diff-threshold"};

void refuse(const Options& options, const std::vector<std::string>& names, const std::vector<std::string>& taken, const std::string& what) {
  for (const std::string& name : names) {
    if (options.find(name)->origin == "default" || std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
    throw Error(ErrorKind::kUsage, str_cat("--", name, " means nothing to ", what, "; leave it out"));
  }
}

// Questions in --data; asked in texts, the task is a pipeline.
int answer(const PredictFlags& flags, const Options& options, const std::string& what) {
  MPIBERT_CHECK(flags.input.empty(), kUsage,
                "--input has lines with a question and a context, --data raw files of the task; give one of them");
  refuse(options, {"submission"}, {}, what);
  std::vector<std::string> taken = {"doc-stride"};
  if (flags.predictions.empty()) {
    refuse(options, kAnswerFileOptions, {}, what + " without --predictions");
    taken = pipeline_arguments("question-answering");
  }
  refuse(options, kPipelineOptions, taken, flags.predictions.empty() ? what : "--predictions");
  return predict_answers(flags);
}

int run(PredictFlags& flags, const Options& options) {
  MPIBERT_CHECK(flags.task.task.empty() != flags.pipeline.empty(), kUsage,
                "give either --pipeline, for what transformers calls so, or --task, for a task that mpibert fine-tunes");
  const std::string what = flags.pipeline.empty() ? "--task " + flags.task.task : "--pipeline " + flags.pipeline;
  const bool is_asked = flags.pipeline.empty() && flags.task.open().kind == TaskKind::kQuestionAnswering;
  if (flags.top_k >= 0) flags.pipeline_options.top_k = flags.top_k;
  flags.pipeline_options.doc_stride = flags.qa.features.doc_stride;
  MPIBERT_CHECK(!is_asked || flags.top_k != 0, kUsage, "--top-k 0: expected at least 1 answer");
  if (is_asked && !flags.data.empty()) return answer(flags, options, what);
  MPIBERT_CHECK(flags.predictions.empty(), kUsage,
                "--predictions is made by --task squad, squad2 or question-answering of a file of questions, expected in --data");
  refuse(options, kAnswerFileOptions, {}, what);
  if (flags.pipeline.empty() && !is_asked) {
    refuse(options, kPipelineOptions, {}, what);
    return predict_task(flags);
  }
  if (is_asked) flags.pipeline = "question-answering";
  refuse(options, kTaskOptions, {}, what);
  std::vector<std::string> taken = pipeline_arguments(flags.pipeline);
  taken.insert(taken.end(), {"text", "input-format", "truncation"});
  refuse(options, kPipelineOptions, taken, what);
  flags.pipeline_options.max_length = flags.max_seq_length;
  return predict_pipeline(flags);
}

}  // namespace

std::function<int()> declare_predict(Options& options) {
  auto s = std::make_shared<PredictFlags>();
  PipelineOptions& p = s->pipeline_options;
  options.add({.name = "pipeline",
               .target = &s->pipeline,
               .help = "what to do with texts: as pipeline(NAME) of transformers, with its results",
               .choices = pipeline_names()});
  s->task.declare(options, "instead: the task that mpibert fine-tuned the model on", false);
  options.add({.name = "model", .target = &s->model, .help = "model folder or run (its newest checkpoint)", .required = true});
  options.add({.name = "text", .target = &s->text, .help = "a text; may be given several times"});
  options.add({.name = "input",
               .target = &s->input,
               .help = "texts, one a line, also .gz; the second text of a pair, the context of a question, or each choice after a tab; - "
                       "is standard input, which is the default"});
  options.add({.name = "input-format",
               .target = &s->input_format,
               .help = "json: each line is an object of the pipeline's arguments; auto: so if the file is named .jsonl or begins with {",
               .choices = {"auto", "text", "json"}});
  options.add({.name = "top-k",
               .target = &s->top_k,
               .help = "results a text, answers a question; -1: as the pipeline (1; fill-mask 5), 0: all labels",
               .minimum = -1});
  options.add({.name = "function-to-apply",
               .target = &p.function_to_apply,
               .help = "text-classification: from logits to scores; default: as the model says",
               .choices = {"default", "softmax", "sigmoid", "none"}});
  options.add({.name = "aggregation-strategy",
               .target = &p.aggregation_strategy,
               .help = "token-classification: tokens each by itself, or groups of equal labels, of tokens or of words labelled by their "
                       "first token, the surest, or the mean of them",
               .choices = {"none", "simple", "first", "average", "max"}});
  options.add({.name = "ignore-labels", .target = &p.ignore_labels, .help = "token-classification: labels to leave out"});
  options.add({.name = "targets", .target = &p.targets, .help = "fill-mask: words to choose from"});
  options.add(
      {.name = "candidate-labels", .target = &p.candidate_labels, .help = "zero-shot-classification: labels to choose from, as a,b,c"});
  options.add(
      {.name = "hypothesis-template", .target = &p.hypothesis_template, .help = "zero-shot-classification: {} stands for the label"});
  options.add({.name = "multi-label", .target = &p.multi_label, .help = "zero-shot-classification: labels do not exclude each other"});
  options.add(
      {.name = "pooling",
       .target = &p.pooling,
       .help = "sentence-embeddings: which of a text's token vectors make its own; auto: as the folder's modules.json says, else mean",
       .choices = {"auto", "mean", "cls", "max"}});
  options.add({.name = "normalize",
               .target = &p.normalize,
               .help = "sentence-embeddings: to length 1; auto: as the folder's modules.json says, else false",
               .choices = {"auto", "true", "false"}});
  options.add(
      {.name = "max-answer-len", .target = &p.max_answer_len, .help = "question-answering: tokens of an answer at most", .minimum = 1});
  options.add({.name = "handle-impossible-answer",
               .target = &p.handle_impossible_answer,
               .help = "question-answering: no answer, \"\", is one of the answers"});
  options.add({.name = "align-to-words", .target = &p.align_to_words, .help = "question-answering: answers have no parts of words"});
  options.add({.name = "truncation", .target = &p.truncation, .help = "pipelines cut longer texts; --no-truncation refuses them"});
  options.add({.name = "data", .target = &s->data, .help = "--task: folder of its raw files, or one raw file, instead of texts"});
  options.add({.name = "split",
               .target = &s->split,
               .help = "with --data: which part of it",
               .choices = {"train", "dev", "dev_mismatched", "test", "test_mismatched"}});
  options.add({.name = "submission",
               .target = &s->submission,
               .help = "with --data: file to write 'index<tab>prediction' to, as GLUE's server takes it"});
  options.add(
      {.name = "precision", .target = &s->precision, .help = "of computing; fp16 with --device cuda", .choices = {"fp32", "bf16", "fp16"}});
  options.add(
      {.name = "max-seq-length",
       .target = &s->max_seq_length,
       .help = "tokens of a sequence at most; 0: with --pipeline as many as the model takes, with --task 128, of question answering 384",
       .minimum = 0});
  options.add({.name = "micro-tokens",
               .target = &s->micro_tokens,
               .help = "most tokens computed at a time by a rank",
               .minimum = 16,
               .maximum = 1048576});
  options.add({.name = "predictions",
               .target = &s->predictions,
               .help = "question answering, with --data: folder for predictions.json, nbest_predictions.json and null_odds.json"});
  s->qa.declare_features(options);
  s->qa.declare_scoring(options);
  s->session.declare(options);
  return [s, &options] { return run(*s, options); };
}

}  // namespace mpibert::apps
