#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "mpibert/base/error.h"
#include "mpibert/base/parse_number.h"
#include "mpibert/tasks/task.h"
#include "tasks/raw_files.h"
#include "tasks/row_reader.h"

namespace mpibert {

namespace {

namespace fs = std::filesystem;

// The fields of a row: text_a, then text_b, label and the choices if the task has them.
RowReader open_rows(const Task& task, const fs::path& path, std::string_view split) {
  const SentenceFiles& files = task.files;
  std::vector<RowReader::Column> wanted = {{files.text_a}};
  if (task.pair) wanted.push_back({files.text_b});
  if (!files.label.empty()) wanted.push_back({files.label, split.starts_with("test")});
  for (const std::string& choice : files.choices) wanted.push_back({.name = choice, .may_be_list = files.choices.size() == 1});
  return RowReader(raw_file_of(task, path, split), std::move(wanted), files.columns);
}

int32_t class_of(const Task& task, const std::vector<std::string>& known, const std::string& label, const std::string& where) {
  const auto found = std::find(known.begin(), known.end(), label);
  if (found != known.end()) return static_cast<int32_t>(found - known.begin());
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "'" : ", '") + name + "'";
  if (!task.files.no_label.empty()) names += ", '" + task.files.no_label + "'";
  throw Error(ErrorKind::kCorrupt, str_cat(where, ": label '", label, "' is none of ", names));
}

int32_t number_of(const Task& task, const std::string& label, const std::string& where) {
  const std::optional<float> value = parse_number<float>(label);
  MPIBERT_CHECK(value && std::isfinite(*value), kCorrupt, where, ": label '", label, "' is not a number, which task ", task.name,
                " learns; classes are for another task");
  MPIBERT_CHECK(*value >= task.minimum && *value <= task.maximum, kCorrupt, where, ": label ", label, " is outside ", task.minimum, " to ",
                task.maximum, ", the range of task ", task.name);
  return std::bit_cast<int32_t>(*value);
}

// The fields from `first` on, each behind what all begin with. `known`: how many there are, or 0.
std::vector<std::string> choices_of(const std::vector<std::optional<std::string>>& fields, size_t first, const std::string* beginning,
                                    size_t known, const std::string& where) {
  std::vector<std::string> choices;
  for (size_t i = first; i < fields.size(); ++i) choices.push_back(beginning ? *beginning + " " + *fields[i] : *fields[i]);
  MPIBERT_CHECK(choices.size() >= 2, kCorrupt, where, ": ", choices.size(),
                " choices, expected at least 2: a column for each, or one member of JSON objects that is a list of them");
  MPIBERT_CHECK(known == 0 || choices.size() == known, kCorrupt, where, ": ", choices.size(), " choices, expected ", known,
                " as in all other rows");
  return choices;
}

bool is_whole_number(const std::string& text) { return parse_number<int64_t>(text).has_value(); }

}  // namespace

std::string columns_text(const Task& task) {
  std::string text = task.files.text_a;
  if (task.pair) text += ", " + task.files.text_b;
  text += ", " + task.files.label;
  for (const std::string& choice : task.files.choices) text += ", " + choice;
  return text;
}

RawSplit read_raw_split(const Task& task, const fs::path& path, std::string_view split) {
  RowReader rows = open_rows(task, path, split);
  const bool reads_label = !task.files.label.empty(), is_choice = task.kind == TaskKind::kMultipleChoice;
  const size_t label_field = task.pair ? 2 : 1, first_choice = label_field + (reads_label ? 1 : 0);
  std::vector<std::string> classes = task.files.raw_labels.empty() ? task.label_names : task.files.raw_labels;
  RawSplit result;
  std::vector<std::optional<std::string>> fields;
  // Where labels are not read, predictions are counted by rows, so none may be left out.
  int64_t* const ragged = task.files.drop_ragged && reads_label && !split.starts_with("test") ? &result.dropped : nullptr;
  for (bool first = true; rows.next(fields, ragged); first = false) {
    const std::optional<std::string> label = reads_label ? fields[label_field] : std::nullopt;
    if (first) result.labelled = label.has_value();
    MPIBERT_CHECK(result.labelled == label.has_value(), kCorrupt, rows.where(), ": ", label ? "has" : "lacks",
                  " a label, unlike the rows before it");
    if (label && !task.files.no_label.empty() && *label == task.files.no_label) {
      ++result.dropped;
      continue;
    }
    Example example{.text_a = std::move(*fields[0])};
    if (is_choice) {
      example.choices = choices_of(fields, first_choice, task.pair ? &*fields[1] : nullptr, classes.size(), rows.where());
      if (classes.empty()) classes = choice_numbers(example.choices.size());
    } else if (task.pair) {
      example.text_b = std::move(fields[1]);
    }
    if (label)
      example.label =
          task.kind == TaskKind::kRegression ? number_of(task, *label, rows.where()) : class_of(task, classes, *label, rows.where());
    result.examples.push_back(std::move(example));
  }
  MPIBERT_CHECK(!result.examples.empty(), kCorrupt, raw_file_of(task, path, split).string(), " has no example");
  return result;
}

std::vector<std::string> find_labels(const Task& task, const fs::path& path, std::string_view split) {
  RowReader rows = open_rows(task, path, split);
  std::set<std::string> found;
  std::vector<std::optional<std::string>> fields;
  while (rows.next(fields)) {
    MPIBERT_CHECK(fields.back() && !fields.back()->empty(), kCorrupt, rows.where(), ": the label is empty");
    found.insert(*fields.back());
  }
  const std::string where = raw_file_of(task, path, split).string();
  MPIBERT_CHECK(found.size() >= 2, kCorrupt, where, ": ", found.size(), " different labels in column '", task.files.label,
                "', expected at least 2");
  std::vector<std::string> labels(found.begin(), found.end());
  if (std::all_of(labels.begin(), labels.end(), is_whole_number))
    std::stable_sort(labels.begin(), labels.end(),
                     [](const std::string& a, const std::string& b) { return *parse_number<int64_t>(a) < *parse_number<int64_t>(b); });
  return labels;
}

}  // namespace mpibert
