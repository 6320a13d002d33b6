#include "apps/heads.h"

#include "apps/model_inputs.h"
#include "mpibert/model/heads.h"

namespace mpibert::apps {

Model::MakeHead head_maker(const Task& task) {
  if (task.kind == TaskKind::kPretraining && task.pair)
    return [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<PretrainingHead>(config, arena); };
  if (task.kind == TaskKind::kPretraining)
    return {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<MaskedLmHead>(config, arena); }, false};
  const int64_t labels = task.outputs();
  return [labels](const BertConfig& config, ParameterArena& arena) { return std::make_unique<SequenceClassificationHead>(config, arena, labels); };
}

void set_head(BertConfig& config, const Task& task) {
  set_architecture(config, task.kind == TaskKind::kPretraining ? (task.pair ? "BertForPreTraining" : "BertForMaskedLM") : "BertForSequenceClassification");
  if (task.kind == TaskKind::kClassification) set_label_names(config, task.label_names, "single_label_classification");
  if (task.kind == TaskKind::kRegression) set_label_names(config, {"LABEL_0"}, "regression");  // as transformers names the one output
}

}  // namespace mpibert::apps
