#include "tasks/raw_files.h"

#include <optional>

#include "mpibert/base/error.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

std::optional<fs::path> find_file(const SentenceFiles::Split& split, const fs::path& folder) {
  for (const std::string& name : split.files)
    for (const fs::path& path : {folder / name, folder / (name + ".gz")})
      if (fs::is_regular_file(path)) return path;
  return std::nullopt;
}

// "train.csv, train.tsv (each may end in .gz)" of the split, or of all.
std::string names_of(const SentenceFiles& files, std::string_view split = {}) {
  std::string names;
  for (const SentenceFiles::Split& each : files.splits)
    for (const std::string& file : each.files)
      if (split.empty() || each.name == split) names += (names.empty() ? "" : ", ") + file;
  return names + " (each may end in .gz)";
}

}  // namespace

fs::path raw_file_of(const Task& task, const fs::path& path, std::string_view split) {
  MPIBERT_CHECK(fs::exists(path), kNotFound, path.string(), " is not there");
  if (!fs::is_directory(path)) return path;
  for (const SentenceFiles::Split& each : task.files.splits)
    if (each.name == split)
      if (const auto file = find_file(each, path)) return *file;
  throw Error(ErrorKind::kNotFound, str_cat("no raw file of split '", split, "' of task ", task.name, " in ", path.string(),
                                            "; looked for ", names_of(task.files, split)));
}

std::vector<std::string> find_raw_splits(const Task& task, const fs::path& folder) {
  MPIBERT_CHECK(fs::is_directory(folder), kNotFound, folder.string(), " is not a folder");
  std::vector<std::string> splits;
  for (const SentenceFiles::Split& split : task.files.splits)
    if (find_file(split, folder)) splits.push_back(split.name);
  MPIBERT_CHECK(!splits.empty(), kNotFound, "no raw file of task ", task.name, " in ", folder.string(), "; looked for ",
                names_of(task.files));
  return splits;
}

std::vector<NamedSplit> raw_splits(const PrepareOptions& options, const Task& task) {
  std::vector<NamedSplit> splits;
  for (const PrepareInput& input : options.inputs) {
    MPIBERT_CHECK(input.paths.size() == 1, kInvalidArgument, "task ", task.name, " has one folder or file for a split, not ",
                  input.paths.size());
    const std::filesystem::path& path = input.paths[0];
    MPIBERT_CHECK(std::filesystem::exists(path), kNotFound, "input ", path.string(), " is not there");
    if (!input.split.empty()) {
      splits.push_back({input.split, path});
      continue;
    }
    MPIBERT_CHECK(std::filesystem::is_directory(path), kInvalidArgument, path.string(), " is one file; name the split it is for");
    for (std::string& name : find_raw_splits(task, path)) splits.push_back({std::move(name), path});
  }
  for (size_t i = 0; i < splits.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      MPIBERT_CHECK(splits[i].name != splits[j].name, kInvalidArgument, "split '", splits[i].name, "' is given twice");
  return splits;
}

}  // namespace mpibert
