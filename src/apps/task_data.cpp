#include "apps/task_data.h"

#include <unistd.h>

#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/tasks/prepare.h"

namespace mpibert::apps {

namespace {

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void check_fits(const Manifest& manifest, const Task& task, const BertTokenizer& tokenizer, const std::filesystem::path& data) {
  MPIBERT_CHECK(manifest.task == task.name, kInvalidArgument, data.string(), " was prepared for task ", manifest.task, ", not ", task.name);
  MPIBERT_CHECK(task.label_names.empty() || task.label_names == manifest.label_names, kInvalidArgument, data.string(),
                " was prepared with the labels ", list(manifest.label_names), "; expected ", list(task.label_names),
                ", in this order: prepare it again, or give the raw files");
  MPIBERT_CHECK(manifest.vocabulary_sha256 == tokenizer.vocabulary().sha256(), kInvalidArgument, data.string(),
                " was prepared with another vocabulary (", manifest.vocabulary_size, " tokens) than the model's (",
                tokenizer.vocabulary().size(), " tokens); prepare it with --model");
}

bool is_read_alike(const Manifest& manifest, const TaskDataRequest& request) {
  if (request.task.kind != TaskKind::kQuestionAnswering) return manifest.option("columns").value_or("") == columns_text(request.task);
  const auto options = to_manifest(request.qa);
  return std::all_of(options.begin(), options.end(), [&](const auto& option) { return manifest.option(option.first) == option.second; });
}

// Says whether an earlier preparation can serve. The same answer on all ranks, because all read the same file.
bool is_usable(const TaskDataRequest& request, const BertTokenizer& tokenizer) {
  if (!is_prepared(request.work)) return false;
  const Manifest manifest = read_manifest(request.work);
  const bool same_labels = request.task.label_names.empty() || request.task.label_names == manifest.label_names;
  return manifest.task == request.task.name && same_labels && is_read_alike(manifest, request) &&
         manifest.max_seq_length == request.max_seq_length && manifest.vocabulary_sha256 == tokenizer.vocabulary().sha256();
}

}  // namespace

bool is_prepared(const std::filesystem::path& data) { return std::filesystem::exists(data / "manifest.json"); }

std::filesystem::path open_task_data(const TaskDataRequest& request, const BertTokenizer& tokenizer, Communicator& comm) {
  if (is_prepared(request.data)) {
    MPIBERT_CHECK(request.dev_data.empty(), kUsage, request.data.string(),
                  " is prepared and has its own dev split; --dev-data goes with a raw file for training");
    check_fits(read_manifest(request.data), request.task, tokenizer, request.data);
    return request.data;
  }
  const bool usable = is_usable(request, tokenizer);
  comm.barrier("looking for prepared data");  // nobody writes there before all have looked
  if (usable) return request.work;
  RankExchange exchange(comm);
  const std::string split = request.split.empty() && std::filesystem::is_regular_file(request.data) ? "train" : request.split;
  std::vector<PrepareInput> inputs = {{split, {request.data}}};
  if (!request.dev_data.empty()) inputs.push_back({"dev", {request.dev_data}});
  prepare({.task = request.task,
           .inputs = inputs,
           .output = request.work,
           .overwrite = true,
           .max_seq_length = request.max_seq_length,
           .qa = request.qa},
          tokenizer, exchange);
  return request.work;
}

WorkFolder::WorkFolder(Communicator& comm) : owner_(comm.rank() == 0) {
  std::string name;
  if (owner_) {
    name = (std::filesystem::temp_directory_path() / "mpibert-XXXXXX").string();
    MPIBERT_CHECK(::mkdtemp(name.data()) != nullptr, kIo, "cannot make a folder in ", std::filesystem::temp_directory_path().string(),
                  "; set TMPDIR to one that all ranks see");
  }
  const auto all = comm.all_gather_bytes(std::as_bytes(std::span(name)), "folder for prepared data");
  path_ = std::string(reinterpret_cast<const char*>(all[0].data()), all[0].size());
  MPIBERT_CHECK(std::filesystem::is_directory(path_), kIo, path_.string(),
                " is not seen by this rank; set TMPDIR to a folder that all hosts share, or prepare the data first");
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (owner_) std::filesystem::remove_all(path_, ignored);
}

}  // namespace mpibert::apps
