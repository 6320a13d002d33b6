#pragma once

#include <string>
#include <vector>

#include "mpibert/base/options.h"
#include "mpibert/model/config.h"
#include "mpibert/tasks/task.h"

namespace mpibert::apps {

// --task, and what says where a task of the user's own has its texts and labels.
struct TaskFlags {
  std::string task, text_column, second_text_column, label_column;
  std::vector<std::string> choice_columns, labels;

  void declare(Options& options, const std::string& help, bool required = true);  // --task and the columns of texts
  void declare_label_column(Options& options);
  void declare_labels(Options& options);  // where a model's labels are chosen: prepare, finetune
  Task open() const;                      // throws kUsage where flags do not go together
};

// The labels of a model that was trained, which is what it is scored on and predicts: of a task of the user's own they are in the model's
// id2label alone; of others they are put into the model's order, which on the hub is often not the data's. Throws kInvalidArgument if the
// model has none, or where the order would change what F1 counts.
void take_labels(Task& task, const BertConfig& config);

}  // namespace mpibert::apps
