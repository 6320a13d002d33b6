#include "mpibert/train/checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/base/sha256.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "train/checkpoint_files.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxTextBytes = size_t{64} << 20;

void verify_file(const fs::path& checkpoint, const ManifestFile& file, Verify level) {
  const fs::path path = checkpoint / file.name;
  struct stat status {};
  MPIBERT_CHECK(::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode), kCorrupt, path.string(),
                " is missing, and the manifest lists it");
  MPIBERT_CHECK(status.st_size == file.size, kCorrupt, path.string(), " has ", status.st_size, " bytes, expected ", file.size);
  if (level == Verify::kSize) return;
  const std::string found = sha256_hex_of_file(path);
  MPIBERT_CHECK(found == file.sha256, kCorrupt, path.string(), ": SHA-256 is ", found, ", expected ", file.sha256);
}

// A pointer such as LATEST; empty if it is not there or not readable: it is a hint.
std::string read_hint(const fs::path& path) {
  try {
    std::string text = read_file(path, 4096);
    text.resize(std::min(text.find('\n'), text.size()));
    return text;
  } catch (const Error&) {
    return "";
  }
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 12); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > 12 ? str_cat(text, " and ", names.size() - 12, " more") : text;
}

int64_t flat_size(const std::vector<Slice>& parameters) {
  int64_t size = 0;
  for (const Slice& slice : parameters) size = std::max(size, slice.offset + slice.shape.size());
  return size;
}

// The tensors PREFIX + NAME of all parameters, and no others under `prefix`, into one flat buffer.
std::vector<float> read_flat(const WeightsReader& reader, const std::string& prefix, const std::vector<Slice>& parameters) {
  std::vector<std::string> problems;
  for (const Slice& slice : parameters) {
    const TensorInfo* tensor = reader.find(prefix + slice.name);
    if (tensor == nullptr) problems.push_back("missing " + prefix + slice.name);
    if (tensor != nullptr && tensor->shape != slice.shape) {
      problems.push_back(str_cat(tensor->name, " is ", tensor->shape.text(), ", expected ", slice.shape.text()));
    }
  }
  MPIBERT_CHECK(problems.empty(), kInvalidArgument, reader.files()[0].string(), " is not of this model and optimizer: ", listed(problems));
  std::vector<float> flat(static_cast<size_t>(flat_size(parameters)));
  for (const Slice& slice : parameters) {
    const TensorInfo& tensor = *reader.find(prefix + slice.name);
    MPIBERT_CHECK(tensor.dtype == DType::kFloat32, kCorrupt, reader.files()[0].string(), ": \"", tensor.name, "\" is not of fp32");
    reader.read_bytes(tensor, std::as_writable_bytes(
                                  std::span(flat).subspan(static_cast<size_t>(slice.offset), static_cast<size_t>(slice.shape.size()))));
  }
  return flat;
}

void refuse_others(const WeightsReader& reader, const std::vector<std::string>& prefixes, const std::vector<Slice>& parameters) {
  std::set<std::string> expected;
  for (const std::string& prefix : prefixes) {
    for (const Slice& slice : parameters) expected.insert(prefix + slice.name);
  }
  std::vector<std::string> others;
  for (const TensorInfo& tensor : reader.tensors()) {
    if (!expected.contains(tensor.name)) others.push_back(tensor.name);
  }
  MPIBERT_CHECK(others.empty(), kInvalidArgument, reader.files()[0].string(), " is not of this model and optimizer: unknown ",
                listed(others));
}

}  // namespace

void verify_checkpoint(const fs::path& checkpoint, Verify level) {
  const CheckpointManifest manifest = read_checkpoint_manifest(checkpoint);
  for (const ManifestFile& file : manifest.files) verify_file(checkpoint, file, level);
  if (level != Verify::kTensors) return;
  const std::string found = checkpoint_digest(checkpoint);
  MPIBERT_CHECK(found == manifest.digest, kCorrupt, checkpoint.string(), ": the digest of the tensors is ", found, ", expected ",
                manifest.digest);
}

std::optional<fs::path> newest_checkpoint(const fs::path& run, Verify level, bool fall_back, std::vector<std::string>* rejected) {
  std::vector<StepFolder> folders = step_folders(run);
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    try {
      verify_checkpoint(folder->path, level);
      const int64_t step = read_checkpoint_manifest(folder->path).step;
      MPIBERT_CHECK(step == folder->step, kCorrupt, folder->path.string(), ": the manifest is of step ", step);
      return folder->path;
    } catch (const Error& error) {
      const std::string message = str_cat("checkpoint ", folder->path.filename().string(), " is not usable: ", error.what());
      MPIBERT_CHECK(fall_back, kCorrupt, message);
      log_warning(message);
      if (rejected != nullptr) rejected->push_back(message);
    }
  }
  MPIBERT_CHECK(folders.empty(), kCorrupt, checkpoints_folder(run).string(), ": none of the ", folders.size(), " checkpoints is usable");
  return std::nullopt;
}

namespace {

fs::path best_checkpoint(const fs::path& run) {
  const std::vector<CheckpointInfo> all = list_checkpoints(run);
  const CheckpointInfo* best = best_of(all);
  MPIBERT_CHECK(best != nullptr, kNotFound, run.string(),
                " has no checkpoint that was evaluated when it was saved; train with --save-best");
  verify_checkpoint(best->path);
  return best->path;
}

}  // namespace

fs::path resolve_model_path(const fs::path& path) {
  if (path.filename() == "best" && !fs::exists(path) && fs::is_directory(checkpoints_folder(path.parent_path())))
    return best_checkpoint(path.parent_path());
  MPIBERT_CHECK(fs::is_directory(path), kNotFound, path.string(),
                " is not a folder; a model is a folder on this machine, nothing is downloaded");
  if (fs::is_directory(checkpoints_folder(path))) {
    const std::optional<fs::path> newest = newest_checkpoint(path);
    MPIBERT_CHECK(newest.has_value(), kNotFound, path.string(), " is a run that has saved no checkpoint yet");
    return *newest;
  }
  if (find_weights(path) || fs::exists(config_file(path))) return path;
  throw Error(ErrorKind::kNotFound,
              str_cat(path.string(), " is neither a run, a checkpoint nor a model folder: it holds no checkpoints and no ", kWeights));
}

Snapshot load_checkpoint(const fs::path& checkpoint, std::vector<Slice> parameters, const std::vector<std::string>& optimizer_buffers) {
  MPIBERT_CHECK(fs::exists(checkpoint / kManifest), kNotFound, checkpoint.string(), " is not a checkpoint of a run: it has no ", kManifest);
  const CheckpointManifest manifest = read_checkpoint_manifest(checkpoint);
  Snapshot snapshot;
  const WeightsReader weights(checkpoint / kWeights);
  snapshot.weights = read_flat(weights, "", parameters);
  refuse_others(weights, {""}, parameters);
  if (!optimizer_buffers.empty()) {
    MPIBERT_CHECK(manifest.find(kOptimizerState) != nullptr, kNotFound, checkpoint.string(),
                  " holds no state of an optimizer, so training cannot go on from it");
    const WeightsReader state(checkpoint / kOptimizerState);
    std::vector<std::string> prefixes;
    for (const std::string& buffer : optimizer_buffers) {
      prefixes.push_back(buffer + ".");
      snapshot.optimizer[buffer] = read_flat(state, prefixes.back(), parameters);
    }
    refuse_others(state, prefixes, parameters);
  }
  for (const ManifestFile& file : manifest.files) {
    if (file.name == kWeights || file.name == kOptimizerState) continue;
    const std::string text = read_file(checkpoint / file.name, kMaxTextBytes);
    if (file.name == kTrainingState) {
      snapshot.state = TrainingState::from_json(text, (checkpoint / file.name).string());
    } else {
      snapshot.files[file.name] = text;
    }
  }
  snapshot.parameters = std::move(parameters);
  snapshot.score = manifest.score;
  snapshot.world_size = manifest.world_size;
  return snapshot;
}

const CheckpointInfo* best_of(const std::vector<CheckpointInfo>& checkpoints) {
  const CheckpointInfo* best = nullptr;
  for (const CheckpointInfo& info : checkpoints)
    if (info.problem.empty() && info.score && (best == nullptr || *info.score > *best->score)) best = &info;
  return best;
}

std::vector<CheckpointInfo> list_checkpoints(const fs::path& run) {
  const std::string latest = read_hint(checkpoints_folder(run) / "LATEST"), best = read_hint(checkpoints_folder(run) / "BEST");
  std::vector<CheckpointInfo> infos;
  for (const StepFolder& folder : step_folders(run)) {
    CheckpointInfo info{.path = folder.path, .name = folder.path.filename().string(), .step = folder.step};
    info.latest = info.name == latest;
    info.best = info.name == best;
    try {
      const CheckpointManifest manifest = read_checkpoint_manifest(folder.path);
      for (const ManifestFile& file : manifest.files) info.bytes += file.size;
      info.world_size = manifest.world_size;
      info.created = manifest.created;
      info.digest = manifest.digest;
      info.score = manifest.score;
      verify_checkpoint(folder.path, Verify::kSize);
    } catch (const Error& error) {
      info.problem = error.what();
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

}  // namespace mpibert
