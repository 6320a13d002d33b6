#include "mpibert/tasks/task.h"

#include "mpibert/base/error.h"
#include "mpibert/data/sample_plan.h"
#include "tasks/task_table.h"

namespace mpibert {

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Task& task : task_table()) names.push_back(task.name);
  return names;
}

Task make_task(std::string_view name) {
  for (const Task& task : task_table())
    if (task.name == name) return task;
  std::string names;
  for (const std::string& known : task_names()) names += (names.empty() ? "" : ", ") + known;
  throw Error(ErrorKind::kUsage, str_cat("unknown task '", name, "'; there are ", names));
}

std::vector<std::string> choice_numbers(size_t choices) {
  std::vector<std::string> numbers;
  for (size_t i = 0; i < choices; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

Schema labels_of(const Task& task, bool labelled) {
  if (task.kind == TaskKind::kMultipleChoice) {
    Schema schema = {{.name = kChoiceLengths, .per = Per::kPrediction}};
    if (labelled) schema.push_back({.name = "labels", .per = Per::kSequence});
    return schema;
  }
  if (!labelled) return {};
  if (task.kind == TaskKind::kPretraining) return task.pair ? sentence_pair_labels() : Schema{};
  if (task.kind == TaskKind::kTokenClassification)
    return {{.name = "labels", .per = Per::kToken}, {.name = "sentences", .per = Per::kSequence}};
  if (task.kind == TaskKind::kQuestionAnswering)
    return {{.name = "start_positions", .per = Per::kSequence}, {.name = "end_positions", .per = Per::kSequence}};
  return {{.name = "labels", .dtype = task.kind == TaskKind::kRegression ? DType::kFloat32 : DType::kInt32, .per = Per::kSequence}};
}

}  // namespace mpibert
