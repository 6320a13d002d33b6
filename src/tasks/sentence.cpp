#include "tasks/sentence.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/line_reader.h"
#include "mpibert/base/error.h"

namespace mpibert {

// Label numbers and names as on the Hugging Face hub.
const std::vector<SentenceTask>& sentence_tasks() {
  static const std::vector<SentenceTask> tasks = {
      {.task = {.name = "mrpc", .pair = true, .label_names = {"not_equivalent", "equivalent"}, .metrics = {"accuracy", "f1"},
                .summary = "Microsoft Research Paraphrase Corpus (GLUE): do two sentences mean the same?"},
       .files = {"%.tsv"}, .text_a = "#1 String", .text_b = "#2 String", .label = "Quality", .raw_labels = {"0", "1"}, .no_label = ""},
      {.task = {.name = "sst2", .pair = false, .label_names = {"negative", "positive"}, .metrics = {"accuracy"},
                .summary = "Stanford Sentiment Treebank (GLUE): is a sentence of a film review positive?"},
       .files = {"%.tsv"}, .text_a = "sentence", .text_b = "", .label = "label", .raw_labels = {"0", "1"}, .no_label = ""},
      {.task = {.name = "snli", .pair = true, .label_names = {"entailment", "neutral", "contradiction"}, .metrics = {"accuracy"},
                .summary = "Stanford Natural Language Inference: does the first sentence entail or contradict the second?"},
       .files = {"snli_1.0_%.jsonl", "snli_1.0_%.txt", "snli_1.0_%.tsv", "%.jsonl", "%.txt", "%.tsv"},
       .text_a = "sentence1", .text_b = "sentence2", .label = "gold_label", .raw_labels = {"entailment", "neutral", "contradiction"}, .no_label = "-"},
  };
  return tasks;
}

namespace {

namespace fs = std::filesystem;

const SentenceTask& row_of(const Task& task) {
  for (const SentenceTask& row : sentence_tasks())
    if (row.task.name == task.name) return row;
  throw Error(ErrorKind::kInvalidArgument, str_cat("task '", task.name, "' has no rows of sentences"));
}

std::vector<fs::path> candidates(const SentenceTask& row, const fs::path& folder, std::string_view split) {
  std::vector<fs::path> paths;
  for (std::string name : row.files) {
    name.replace(name.find('%'), 1, split);
    paths.push_back(folder / name);
    paths.push_back(folder / (name + ".gz"));
  }
  return paths;
}

std::optional<fs::path> find_file(const SentenceTask& row, const fs::path& folder, std::string_view split) {
  for (const fs::path& path : candidates(row, folder, split))
    if (fs::is_regular_file(path)) return path;
  return std::nullopt;
}

std::string names_of(const SentenceTask& row, std::string_view split) {
  std::string names;
  for (const std::string& file : row.files) {
    std::string name = file;
    names += (names.empty() ? "" : ", ") + name.replace(name.find('%'), 1, split);
  }
  return names + " (each may end in .gz)";
}

// Turns the fields of one row into an example of the split.
class Collector {
 public:
  Collector(const SentenceTask& row, RawSplit& split) : row_(row), split_(split) {}

  void add(std::string text_a, std::optional<std::string> text_b, const std::optional<std::string>& label, const std::string& where) {
    if (split_.examples.empty() && split_.dropped == 0) split_.labelled = label.has_value();
    MPIBERT_CHECK(split_.labelled == label.has_value(), kCorrupt, where, ": ", label ? "has" : "lacks", " a label, unlike the rows before it");
    Example example{.text_a = std::move(text_a), .text_b = std::move(text_b)};
    if (label) {
      if (!row_.no_label.empty() && *label == row_.no_label) {
        ++split_.dropped;
        return;
      }
      const auto found = std::find(row_.raw_labels.begin(), row_.raw_labels.end(), *label);
      MPIBERT_CHECK(found != row_.raw_labels.end(), kCorrupt, where, ": label '", *label, "' is none of ", expected_labels());
      example.label = static_cast<int32_t>(found - row_.raw_labels.begin());
    }
    split_.examples.push_back(std::move(example));
  }

 private:
  std::string expected_labels() const {
    std::string names;
    for (const std::string& name : row_.raw_labels) names += (names.empty() ? "'" : ", '") + name + "'";
    return row_.no_label.empty() ? names : names + ", '" + row_.no_label + "'";
  }
  const SentenceTask& row_;
  RawSplit& split_;
};

// Quotes are literal: these files are not CSV.
std::vector<std::string_view> split_columns(std::string_view line) {
  std::vector<std::string_view> columns;
  for (;;) {
    const size_t tab = line.find('\t');
    columns.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return columns;
    line.remove_prefix(tab + 1);
  }
}

void read_table(LineReader& lines, const std::string& header_line, const SentenceTask& row, Collector& collector) {
  const std::vector<std::string_view> header = split_columns(header_line);
  const auto column = [&](const std::string& name) { return static_cast<size_t>(std::find(header.begin(), header.end(), name) - header.begin()); };
  const size_t a = column(row.text_a), b = row.text_b.empty() ? 0 : column(row.text_b), label = column(row.label);
  for (const auto& [place, name] : {std::pair{a, row.text_a}, std::pair{b, row.text_b}})
    MPIBERT_CHECK(place < header.size(), kCorrupt, lines.where(), ": the header has no column '", name, "'; it is '", header_line.substr(0, 200), "'");
  for (std::string line; lines.next(line);) {
    if (line.empty()) continue;
    const std::vector<std::string_view> columns = split_columns(line);
    MPIBERT_CHECK(columns.size() == header.size(), kCorrupt, lines.where(), ": ", columns.size(), " columns, expected ", header.size(), " as in the header");
    collector.add(std::string(columns[a]), row.text_b.empty() ? std::nullopt : std::optional<std::string>(columns[b]),
                  label < header.size() ? std::optional<std::string>(columns[label]) : std::nullopt, lines.where());
  }
}

void read_json_lines(LineReader& lines, std::string line, const SentenceTask& row, Collector& collector) {
  using nlohmann::json;
  do {
    if (is_blank(line)) continue;
    try {
      const json object = json::parse(line);
      const auto text = [&](const std::string& name) { return object.at(name).get<std::string>(); };
      collector.add(text(row.text_a), row.text_b.empty() ? std::nullopt : std::optional(text(row.text_b)),
                    object.contains(row.label) ? std::optional(text(row.label)) : std::nullopt, lines.where());
    } catch (const json::exception& error) {
      throw Error(ErrorKind::kCorrupt, str_cat(lines.where(), ": ", error.what()));
    }
  } while (lines.next(line));
}

}  // namespace

std::vector<std::string> find_raw_splits(const Task& task, const fs::path& folder) {
  const SentenceTask& row = row_of(task);
  MPIBERT_CHECK(fs::is_directory(folder), kNotFound, folder.string(), " is not a folder");
  std::vector<std::string> splits;
  for (const char* split : {"train", "dev", "test"})
    if (find_file(row, folder, split)) splits.emplace_back(split);
  MPIBERT_CHECK(!splits.empty(), kNotFound, "no raw file of task ", task.name, " in ", folder.string(), "; looked for ", names_of(row, "{train,dev,test}"));
  return splits;
}

RawSplit read_raw_split(const Task& task, const fs::path& path, std::string_view split) {
  const SentenceTask& row = row_of(task);
  MPIBERT_CHECK(fs::exists(path), kNotFound, path.string(), " is not there");
  const std::optional<fs::path> file = fs::is_directory(path) ? find_file(row, path, split) : path;
  MPIBERT_CHECK(file, kNotFound, "no raw file of split '", split, "' of task ", task.name, " in ", path.string(), "; looked for ", names_of(row, split));
  LineReader lines(*file);
  std::string line;
  MPIBERT_CHECK(lines.next(line), kCorrupt, file->string(), " is empty");
  RawSplit result;
  Collector collector(row, result);
  if (line.starts_with("{"))
    read_json_lines(lines, line, row, collector);
  else
    read_table(lines, line, row, collector);
  MPIBERT_CHECK(!result.examples.empty(), kCorrupt, file->string(), " has no example");
  return result;
}

}  // namespace mpibert
