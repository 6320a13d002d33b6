#pragma once

#include "mpibert/model/bert.h"
#include "mpibert/tasks/task.h"

namespace mpibert::apps {

// The head that a task trains.
Model::MakeHead head_maker(const Task& task);
// Writes the task's class and label names into the model's config.json.
void set_head(BertConfig& config, const Task& task);

}  // namespace mpibert::apps
