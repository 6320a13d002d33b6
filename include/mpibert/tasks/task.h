#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpibert/data/schema.h"

namespace mpibert {

enum class TaskKind : uint8_t { kPretraining, kClassification, kRegression, kTokenClassification, kQuestionAnswering, kMultipleChoice };

// How the raw files of a labelled task look; of question answering only their names are read (mpibert/tasks/squad.h is their form). Each
// may end in .gz. What a file of sentences is shows itself:
//   CSV if its name ends in .csv: RFC 4180, fields between commas, in quotes where they hold commas, quotes (doubled) or line ends
//   JSON, one object a line, if it begins with {
//   otherwise columns between tabs, with no quoting: as GLUE's files, where quotes are literal and often unbalanced
// A column is named as in the header, which is the first row of a table, or as the member of JSON objects. All digits are its number, from
// 1, in tables without a header.
struct SentenceFiles {
  struct Split {
    std::string name;                // "train", "dev", "test", "dev_mismatched"
    std::vector<std::string> files;  // names without .gz; the first that is there is read
  };
  std::vector<Split> splits{};
  std::string text_a{},
      text_b{};  // columns; text_b empty: one sentence; of a multiple choice the context, and what every choice begins with
  std::vector<std::string> choices{};     // columns of a multiple choice; or one member of JSON objects that is a list of them
  std::string label{};                    // a split whose name begins with "test" may lack it; empty: it is not read
  std::vector<std::string> columns{};     // names of a table whose first row lacks text_a and is no header; empty: every table has one
  std::vector<std::string> raw_labels{};  // as files spell label 0, 1, ...; empty: as label_names
  std::string no_label{};                 // of a row without a gold label, which is dropped; empty: there are none
  bool drop_ragged = false;               // labelled rows with another number of columns are dropped and counted; otherwise they are errors
};

// What is to be learned from which labels, and how it is scored. A value: tasks are rows of a table (src/tasks/task_table.cpp).
struct Task {
  std::string name;  // "pretraining", "mrpc", "classification"
  TaskKind kind = TaskKind::kClassification;
  bool pair = false;                       // two sentences; of a pre-training: with next-sentence prediction
  bool may_be_impossible = false;          // of question answering: questions may have no answer
  bool own = false;                        // of the user's: columns are for the user to name, labels given or found in the training file
  std::vector<std::string> label_names{};  // of a classification, by label number; names of the Hugging Face hub; of a multiple choice the
                                           // choices' numbers from 0
  double minimum = -std::numeric_limits<double>::infinity(), maximum = std::numeric_limits<double>::infinity();  // labels of a regression
  std::vector<std::string> metrics{};  // what score() gives, in order
  std::string summary{};               // for people, one line
  SentenceFiles files{};

  int64_t outputs() const {
    return kind == TaskKind::kRegression ? 1 : static_cast<int64_t>(label_names.size());
  }  // of the head, for a sample
};

// "0", "1", ... as label names of so many choices.
std::vector<std::string> choice_numbers(size_t choices);

std::vector<std::string> task_names();
Task make_task(std::string_view name);  // throws kUsage listing task_names()

// One row of raw data.
struct Example {
  std::string text_a;
  std::optional<std::string> text_b{};
  std::optional<int32_t> label{};      // missing in unlabelled splits; of a regression the bits of its fp32, as in Sample
  std::vector<std::string> choices{};  // of a multiple choice the second texts, each with its beginning
};

struct RawSplit {
  std::vector<Example> examples;
  int64_t dropped = 0;  // rows without a gold label, and ragged ones
  bool labelled = true;
};

// The splits whose raw files are in the folder, in the order of the table. Throws kNotFound if there is none, naming the files looked for.
std::vector<std::string> find_raw_splits(const Task& task, const std::filesystem::path& folder);
// `path` is such a folder, or the file of this one split. Throws kNotFound; kCorrupt with file and line on a column that is not there, a
// wrong number of columns, a label that the task lacks, a line that is not JSON, a quote that is never closed; on another number of choices
// than the task has labels or, where it has none yet, than the first row has.
RawSplit read_raw_split(const Task& task, const std::filesystem::path& path, std::string_view split);
// The different labels of a split, sorted: by value if all are whole numbers, otherwise by their bytes. Throws as read_raw_split, and
// kCorrupt if there are fewer than two.
std::vector<std::string> find_labels(const Task& task, const std::filesystem::path& path, std::string_view split);
// Says from which columns a task is read, for comparing: "text, label".
std::string columns_text(const Task& task);

Schema labels_of(const Task& task, bool labelled = true);

// The logits of one sample: of a head with a row a sequence [classes], or [choices], of one with a row a token [length, classes].
struct Prediction {
  int64_t sample = 0;
  std::vector<float> values;
};
using Scores = std::vector<std::pair<std::string, double>>;

// Number of the largest value, of equal ones the first.
int32_t best_label(std::span<const float> values);
// exp(values - max) / sum, in double.
std::vector<double> softmax(std::span<const float> values);

// -log softmax(values)[label], in double.
double negative_log_likelihood(std::span<const float> values, int32_t label);

// Scores of a classification by best_label, of a regression by its one value. labels[i], as Example's, belongs to sample i. Throws
// kInvalidArgument unless every sample is predicted exactly once, with task.outputs() values.
Scores score(const Task& task, std::span<const Prediction> predictions, std::span<const int32_t> labels);

// What GLUE's server takes for a test file: "index<tab>prediction", then a line a row, counted from 0; a label as the task's files spell
// it, or a number, moved into the task's range, with three digits. predictions[i] belongs to row i.
std::string submission_text(const Task& task, std::span<const Prediction> predictions);

}  // namespace mpibert
