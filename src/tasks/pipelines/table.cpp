#include "mpibert/base/error.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

struct Row {
  std::string name, other_name;        // transformers' names
  std::vector<std::string> arguments;  // flags that are its own
  Pipeline (*make)(const PipelineModel&, const PipelineOptions&);
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      {"text-classification", "sentiment-analysis", {"top-k", "function-to-apply"}, text_classification},
      {"token-classification", "ner", {"aggregation-strategy", "ignore-labels"}, token_classification},
      {"question-answering",
       "",
       {"top-k", "max-answer-len", "handle-impossible-answer", "align-to-words", "doc-stride"},
       question_answering},
      {"zero-shot-classification", "", {"candidate-labels", "hypothesis-template", "multi-label"}, zero_shot_classification},
      {"fill-mask", "", {"top-k", "targets"}, fill_mask},
      {"feature-extraction", "", {}, feature_extraction},
      {"sentence-embeddings", "", {"pooling", "normalize"}, sentence_embeddings},
  };
  return rows;
}

const Row& row_named(std::string_view name) {
  std::string known;
  for (const Row& row : table()) {
    if (row.name == name || (row.other_name == name && !name.empty())) return row;
    known += (known.empty() ? "" : ", ") + row.name;
  }
  throw Error(ErrorKind::kUsage, str_cat("there is no pipeline '", name, "'; there are ", known));
}

}  // namespace

std::vector<std::string> pipeline_names() {
  std::vector<std::string> names;
  for (const Row& row : table()) {
    names.push_back(row.name);
    if (!row.other_name.empty()) names.push_back(row.other_name);
  }
  return names;
}

std::vector<std::string> pipeline_arguments(std::string_view name) { return row_named(name).arguments; }

Pipeline make_pipeline(std::string_view name, const PipelineModel& model, const PipelineOptions& options) {
  return row_named(name).make(model, options);
}

}  // namespace mpibert
