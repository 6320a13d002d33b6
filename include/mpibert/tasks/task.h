#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpibert/data/schema.h"

namespace mpibert {

enum class TaskKind : uint8_t { kPretraining, kClassification };

// What is to be learned from which labels, and how it is scored. A value: tasks are rows of a table (src/tasks/registry.cpp, sentence.cpp).
struct Task {
  std::string name;                       // "pretraining", "mrpc", "sst2", "snli"
  TaskKind kind = TaskKind::kClassification;
  bool pair = false;                      // two sentences
  std::vector<std::string> label_names{}; // by label number; names of the Hugging Face hub
  std::vector<std::string> metrics{};     // what score() gives, in order
  std::string summary{};                  // for people, one line
};

std::vector<std::string> task_names();
Task make_task(std::string_view name);  // throws kUsage listing task_names()

// One row of raw data. The label is missing in unlabelled splits.
struct Example {
  std::string text_a;
  std::optional<std::string> text_b{};
  std::optional<int32_t> label{};
};

struct RawSplit {
  std::vector<Example> examples;
  int64_t dropped = 0;    // rows without a gold label
  bool labelled = true;
};

// The splits ("train", "dev", "test") whose raw files are in the folder. Layouts (each may end in .gz):
//   mrpc, sst2: GLUE's {train,dev,test}.tsv, tab-separated with a header, quotes are literal; test.tsv has an index and no labels
//   snli: snli_1.0_{train,dev,test} or {train,dev,test} with .jsonl, or .txt or .tsv with a header that names gold_label, sentence1 and sentence2
// Throws kNotFound if there is none, naming the files looked for.
std::vector<std::string> find_raw_splits(const Task& task, const std::filesystem::path& folder);
// `path` is such a folder, or the file of this one split. Throws kNotFound; kCorrupt with file and line on a wrong number of columns, a
// label that the task lacks, a line that is not JSON.
RawSplit read_raw_split(const Task& task, const std::filesystem::path& path, std::string_view split);

Schema labels_of(const Task& task, bool labelled = true);

// The logits of one sample.
struct Prediction {
  int64_t sample = 0;
  std::vector<float> values;
};
using Scores = std::vector<std::pair<std::string, double>>;

// Scores of a classification by the largest logit (of equal ones the first). labels[i] belongs to sample i. Throws kInvalidArgument unless every
// sample is predicted exactly once, with one value a label.
Scores score(const Task& task, std::span<const Prediction> predictions, std::span<const int32_t> labels);

}  // namespace mpibert
