#include "apps/heads.h"

#include <stdexcept>

#include "apps/model_inputs.h"
#include "mpibert/model/heads.h"

namespace mpibert::apps {

Model::MakeHead head_maker(const Task& task) {
  if (task.kind == TaskKind::kPretraining && task.pair)
    return [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<PretrainingHead>(config, arena); };
  if (task.kind == TaskKind::kPretraining)
    return {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<MaskedLmHead>(config, arena); }, false};
  if (task.kind == TaskKind::kQuestionAnswering)
    return {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<QuestionAnsweringHead>(config, arena); }, false};
  if (task.kind == TaskKind::kMultipleChoice)
    return [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<MultipleChoiceHead>(config, arena); };
  const int64_t labels = task.outputs();
  if (task.kind == TaskKind::kTokenClassification)
    return {[labels](const BertConfig& config, ParameterArena& arena) {
              return std::make_unique<TokenClassificationHead>(config, arena, labels);
            },
            false};
  return [labels](const BertConfig& config, ParameterArena& arena) {
    return std::make_unique<SequenceClassificationHead>(config, arena, labels);
  };
}

namespace {

const char* architecture_of(const Task& task) {
  switch (task.kind) {
    case TaskKind::kPretraining:
      return task.pair ? "BertForPreTraining" : "BertForMaskedLM";
    case TaskKind::kTokenClassification:
      return "BertForTokenClassification";
    case TaskKind::kQuestionAnswering:
      return "BertForQuestionAnswering";
    case TaskKind::kMultipleChoice:
      return "BertForMultipleChoice";
    case TaskKind::kClassification:
    case TaskKind::kRegression:
      return "BertForSequenceClassification";
  }
  throw std::logic_error("unknown kind of task");
}

}  // namespace

void set_head(BertConfig& config, const Task& task) {
  set_architecture(config, architecture_of(task));
  if (task.kind == TaskKind::kClassification) set_label_names(config, task.label_names, "single_label_classification");
  if (task.kind == TaskKind::kTokenClassification) set_label_names(config, task.label_names);
  if (task.kind == TaskKind::kRegression) set_label_names(config, {"LABEL_0"}, "regression");  // as transformers names the one output
}

}  // namespace mpibert::apps
