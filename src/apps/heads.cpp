#include "apps/heads.h"

#include "apps/model_inputs.h"
#include "mpibert/model/heads.h"

namespace mpibert::apps {

Model::MakeHead head_maker(const Task& task) {
  if (task.kind == TaskKind::kPretraining) return [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<PretrainingHead>(config, arena); };
  const auto labels = static_cast<int64_t>(task.label_names.size());
  return [labels](const BertConfig& config, ParameterArena& arena) { return std::make_unique<SequenceClassificationHead>(config, arena, labels); };
}

void set_head(BertConfig& config, const Task& task) {
  set_architecture(config, task.kind == TaskKind::kPretraining ? "BertForPreTraining" : "BertForSequenceClassification");
  if (task.kind == TaskKind::kClassification) set_label_names(config, task.label_names);
}

}  // namespace mpibert::apps
