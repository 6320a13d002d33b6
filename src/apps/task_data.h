#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "apps/session.h"
#include "mpibert/tasks/task.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert::apps {

// A labelled task's data as shards. Shards are taken as they are; raw files are prepared into `work`, and what an earlier start of the
// same run has left there is used again if it was made with the same options. Throws kInvalidArgument for shards of another task,
// vocabulary or other labels.
struct TaskDataRequest {
  Task task;
  std::filesystem::path data;        // a folder; or one file of raw data: of the split named, or "train"
  std::filesystem::path dev_data{};  // a file of raw data for the split "dev"; empty: what the folder has
  std::string split;                 // only this one; empty: all that are there
  int64_t max_seq_length = 128;
  QaOptions qa{};  // of question answering
  std::filesystem::path work;
};
std::filesystem::path open_task_data(const TaskDataRequest& request, const BertTokenizer& tokenizer, Communicator& comm);

bool is_prepared(const std::filesystem::path& data);

// A folder for the length of a command, in the system's folder for temporary files; the same on all ranks of a host.
class WorkFolder {
 public:
  explicit WorkFolder(Communicator& comm);  // collective
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool owner_;
};

}  // namespace mpibert::apps
