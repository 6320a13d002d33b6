#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/tasks/prepare.h"
#include "mpibert/tasks/task.h"

namespace mpibert {

// The file of a split, where `path` is a folder with the files of the task; or `path` itself. Throws kNotFound naming the files looked for.
std::filesystem::path raw_file_of(const Task& task, const std::filesystem::path& path, std::string_view split);

// The splits that a preparation of a task is given: those named, and all that a folder has.
struct NamedSplit {
  std::string name;
  std::filesystem::path path;
};
std::vector<NamedSplit> raw_splits(const PrepareOptions& options, const Task& task);

}  // namespace mpibert
