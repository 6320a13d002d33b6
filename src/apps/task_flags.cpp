#include "apps/task_flags.h"

#include <algorithm>
#include <set>

#include "apps/model_inputs.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

void TaskFlags::declare(Options& options, const std::string& help, bool required) {
  options.add({.name = "task", .target = &task, .help = help, .choices = task_names(), .required = required});
  options.add({.name = "text-column",
               .target = &text_column,
               .help = "your own data: name of the column, or its number from 1 in a table without a header; default text, of a multiple "
                       "choice context"});
  options.add({.name = "second-text-column",
               .target = &second_text_column,
               .help = "your own pairs: column of the second text; default second_text with pair-classification; of a multiple choice what "
                       "all its choices begin with"});
  options.add(
      {.name = "choice-columns",
       .target = &choice_columns,
       .help = "your own choices: their columns, as a,b,c, or the one member of JSON objects that is a list of them; default choices"});
}

void TaskFlags::declare_label_column(Options& options) {
  options.add({.name = "label-column",
               .target = &label_column,
               .help = "your own data: column of the label, or of the number to learn; default label"});
}

void TaskFlags::declare_labels(Options& options) {
  options.add(
      {.name = "labels", .target = &labels, .help = "your own classes, as a,b,c; default: those found in the training split, sorted"});
}

Task TaskFlags::open() const {
  Task opened = make_task(task);
  const bool regression = opened.kind == TaskKind::kRegression, choice = opened.kind == TaskKind::kMultipleChoice;
  MPIBERT_CHECK(
      opened.own || (text_column.empty() && second_text_column.empty() && label_column.empty() && choice_columns.empty() && labels.empty()),
      kUsage,
      "--text-column, --second-text-column, --choice-columns, --label-column and --labels go with --task classification, "
      "pair-classification, multiple-choice and regression; task ",
      task, " has its own");
  MPIBERT_CHECK(
      opened.kind != TaskKind::kTokenClassification || (text_column.empty() && second_text_column.empty() && label_column.empty()), kUsage,
      "task ", task,
      " reads the word from the first column and the tag from the last; leave --text-column, --second-text-column and --label-column out");
  MPIBERT_CHECK(second_text_column.empty() || opened.pair || regression || choice, kUsage,
                "--second-text-column goes with --task pair-classification, multiple-choice or regression, not ", task);
  MPIBERT_CHECK(choice_columns.empty() || choice, kUsage, "--choice-columns goes with --task multiple-choice, not ", task);
  MPIBERT_CHECK(labels.empty() || !regression, kUsage, "--labels are classes; --task regression learns numbers, leave them out");
  MPIBERT_CHECK(labels.empty() || !choice, kUsage,
                "--labels are classes; the labels of --task multiple-choice are the numbers of its choices, from 0, leave them out");
  if (!text_column.empty()) opened.files.text_a = text_column;
  if (!label_column.empty()) opened.files.label = label_column;
  if (!choice_columns.empty()) opened.files.choices = split_at_commas(choice_columns);
  if (!second_text_column.empty()) {
    opened.files.text_b = second_text_column;
    opened.pair = true;
  }
  if (labels.empty()) return opened;
  opened.label_names = split_at_commas(labels);
  const std::set<std::string> different(opened.label_names.begin(), opened.label_names.end());
  MPIBERT_CHECK(different.size() == opened.label_names.size() && different.size() >= 2 && !different.contains(""), kUsage,
                "--labels needs at least two labels, all different and none empty, found ", different.size(), " of ",
                opened.label_names.size());
  return opened;
}

void take_labels(Task& task, const BertConfig& config) {
  if (task.kind != TaskKind::kClassification && task.kind != TaskKind::kTokenClassification) return;
  const std::vector<std::string> names = label_names_of(config);
  if (task.own) {
    MPIBERT_CHECK(names.size() >= 2, kInvalidArgument,
                  "the model's config.json has no id2label to say which labels it gives; fine-tune it first: mpibert finetune --task ",
                  task.name);
    task.label_names = names;
    return;
  }
  if (names == task.label_names || !std::is_permutation(names.begin(), names.end(), task.label_names.begin(), task.label_names.end()))
    return;
  MPIBERT_CHECK(std::find(task.metrics.begin(), task.metrics.end(), "f1") == task.metrics.end(), kInvalidArgument,
                "the model's labels are in another order than those of task ", task.name, ", whose F1 counts label 1, '",
                task.label_names[1], "'; found '", names[1], "' there: change id2label and the rows of the classifier");
  std::vector<std::string> raw;
  for (const std::string& name : names) {
    const auto place = std::find(task.label_names.begin(), task.label_names.end(), name) - task.label_names.begin();
    if (!task.files.raw_labels.empty()) raw.push_back(task.files.raw_labels[static_cast<size_t>(place)]);
  }
  task.label_names = names;
  task.files.raw_labels = raw;
}

}  // namespace mpibert::apps
