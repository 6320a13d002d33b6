#include "train/checkpoint_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <sstream>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/safetensors.h"
#include "train/staged_file.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

std::string nonce() {
  std::random_device device;
  std::ostringstream text;
  text << std::hex << device() << device();
  return text.str();
}

[[noreturn]] void throw_system(const char* what, const fs::path& path, int code) {
  throw Error(ErrorKind::kIo, str_cat("cannot ", what, " ", path.string(), ": ", std::strerror(code)));
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_system("rename to", to, errno);
}

std::span<const std::byte> bytes_of_slice(const std::vector<float>& flat, const Slice& slice) {
  return std::as_bytes(std::span(flat).subspan(static_cast<size_t>(slice.offset), static_cast<size_t>(slice.shape.size())));
}

std::vector<NamedTensor> weight_tensors(const Snapshot& snapshot) {
  std::vector<NamedTensor> tensors;
  for (const Slice& slice : snapshot.parameters)
    tensors.push_back({slice.name, DType::kFloat32, slice.shape, bytes_of_slice(snapshot.weights, slice)});
  return tensors;
}

std::vector<NamedTensor> optimizer_tensors(const Snapshot& snapshot) {
  std::vector<NamedTensor> tensors;
  for (const auto& [buffer, flat] : snapshot.optimizer) {
    for (const Slice& slice : snapshot.parameters)
      tensors.push_back({buffer + "." + slice.name, DType::kFloat32, slice.shape, bytes_of_slice(flat, slice)});
  }
  return tensors;
}

std::string digest_of(std::vector<NamedTensor> tensors) {
  for (NamedTensor& tensor : tensors) tensor.name = canonical_weight_name(tensor.name);
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  TensorDigest digest;
  for (const NamedTensor& tensor : tensors) digest.add(tensor.name, tensor.dtype, tensor.shape, tensor.bytes);
  return digest.hex();
}

// ".old-step-00000050-NONCE" -> "step-00000050"
std::string step_of_leftover(const std::string& name, std::string_view prefix) {
  const size_t last = name.rfind('-');
  return last <= prefix.size() ? "" : name.substr(prefix.size(), last - prefix.size());
}

// Good and of the same contents, so that there is nothing to write.
bool says_the_same(const fs::path& published, const fs::path& staging) {
  try {
    const CheckpointManifest old_manifest = read_checkpoint_manifest(published), new_manifest = read_checkpoint_manifest(staging);
    if (old_manifest.files != new_manifest.files || old_manifest.score != new_manifest.score) return false;
    verify_checkpoint(published, Verify::kSha256);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::set<std::string> pinned_names(const fs::path& folder) {
  std::set<std::string> names;
  if (!fs::exists(folder / "PINNED")) return names;
  std::istringstream lines(read_file(folder / "PINNED", 1 << 20));
  for (std::string line; std::getline(lines, line);) names.insert(line.substr(0, line.find_last_not_of(" \t\r") + 1));
  return names;
}

}  // namespace

void check_snapshot(const Snapshot& snapshot) {
  MPIBERT_CHECK(snapshot.state.step >= 0, kInvalidArgument, "a checkpoint cannot be of step ", snapshot.state.step);
  MPIBERT_CHECK(!snapshot.parameters.empty(), kInvalidArgument, "a checkpoint without parameters");
  MPIBERT_CHECK(!snapshot.score || std::isfinite(*snapshot.score), kInvalidArgument, "the score of a checkpoint has to be finite");
  std::set<std::string_view> names;
  for (const Slice& slice : snapshot.parameters) {
    MPIBERT_CHECK(names.insert(slice.name).second, kInvalidArgument, "two parameters are named ", slice.name);
    const int64_t end = slice.offset + slice.shape.size();
    const auto check_buffer = [&](const std::string& buffer, const std::vector<float>& flat) {
      MPIBERT_CHECK(slice.offset >= 0 && end <= static_cast<int64_t>(flat.size()), kInvalidArgument, "parameter ", slice.name,
                    " ends at element ", end, ", but ", buffer, " has ", flat.size());
    };
    check_buffer("weights", snapshot.weights);
    for (const auto& [buffer, flat] : snapshot.optimizer) check_buffer(buffer, flat);
  }
  for (const auto& [name, text] : snapshot.files) {
    MPIBERT_CHECK(is_plain_file_name(name) && name != kManifest && name != kWeights && name != kOptimizerState && name != kTrainingState,
                  kInvalidArgument, "\"", name, "\" cannot be the name of a text file in a checkpoint");
  }
}

CheckpointStore::CheckpointStore(const fs::path& run, StoreHook hook, bool can_exchange)
    : folder_(checkpoints_folder(run)), run_(run), hook_(std::move(hook)), can_exchange_(can_exchange) {
  std::error_code code;
  fs::create_directories(folder_, code);
  MPIBERT_CHECK(!code, kBusy, "cannot make the folder ", folder_.string(), ": ", code.message());
}

void CheckpointStore::recover() {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) entries.push_back(entry.path());
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (name.starts_with(".old-step-") && !fs::exists(folder_ / step_of_leftover(name, ".old-"))) {
      before("rename back");
      rename_path(entry, folder_ / step_of_leftover(name, ".old-"));
    } else if (name.starts_with(".tmp-step-") || name.starts_with(".old-step-") || name.starts_with(".trash-step-")) {
      log_info("removing ", entry.string(), ", which an earlier run left unfinished");
      remove_folder(entry);
    } else if (name == "LATEST.tmp" || name == "BEST.tmp") {
      before("unlink");
      fs::remove(entry);
    }
  }
}

CheckpointStore::Published CheckpointStore::publish(const Snapshot& snapshot) {
  const std::string name = checkpoint_name(snapshot.state.step);
  const fs::path place = folder_ / name, staging = folder_ / (".tmp-" + name + "-" + nonce());
  Published published{.path = place};
  try {
    before("create");
    if (::mkdir(staging.c_str(), 0777) != 0) throw_system("create", staging, errno);
    published.bytes = write_all(snapshot, staging);
    published.kept = fs::exists(place) && says_the_same(place, staging);
    if (!published.kept) put_in_place(staging, place);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(staging, ignored);
    throw;
  }
  if (published.kept) remove_folder(staging);
  return published;
}

int64_t CheckpointStore::write_all(const Snapshot& snapshot, const fs::path& staging) const {
  CheckpointManifest manifest{
      .step = snapshot.state.step, .world_size = snapshot.world_size, .created = utc_now(), .score = snapshot.score};
  const auto write_tensors = [&](const char* name, const std::vector<NamedTensor>& tensors) {
    StagedFile file(staging / name, hook_);
    write_safetensors([&](std::span<const std::byte> bytes) { file.write(bytes); }, tensors);
    manifest.files.push_back(file.finish());
  };
  const auto write_text = [&](const std::string& name, const std::string& text) {
    StagedFile file(staging / name, hook_);
    file.write(std::as_bytes(std::span(text)));
    return file.finish();
  };
  std::vector<NamedTensor> tensors = weight_tensors(snapshot);
  const std::vector<NamedTensor> moments = optimizer_tensors(snapshot);
  write_tensors(kWeights, tensors);
  if (!moments.empty()) write_tensors(kOptimizerState, moments);
  for (const auto& [name, text] : snapshot.files) manifest.files.push_back(write_text(name, text));
  manifest.files.push_back(write_text(kTrainingState, snapshot.state.json()));

  tensors.insert(tensors.end(), moments.begin(), moments.end());
  manifest.tensor_count = static_cast<int64_t>(tensors.size());
  manifest.digest = digest_of(std::move(tensors));
  std::sort(manifest.files.begin(), manifest.files.end(), [](const ManifestFile& a, const ManifestFile& b) { return a.name < b.name; });
  write_text(kManifest, manifest.json());
  before("sync folder");
  sync_path(staging);
  int64_t bytes = 0;
  for (const ManifestFile& file : manifest.files) bytes += file.size;
  return bytes;
}

void CheckpointStore::put_in_place(const fs::path& staging, const fs::path& place) const {
  if (!fs::exists(place)) {
    before("rename");
    rename_path(staging, place);
    before("sync parent");
    sync_path(folder_);
    return;
  }
  before("exchange");
  if (can_exchange_ && ::renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) == 0) {
    before("sync parent");
    sync_path(folder_);
    remove_folder(staging);  // which is the old one now
    return;
  }
  const fs::path old = folder_ / (".old-" + place.filename().string() + "-" + nonce());
  before("rename old");
  rename_path(place, old);
  before("rename");
  if (::rename(staging.c_str(), place.c_str()) != 0) {
    const int code = errno;
    rename_path(old, place);
    throw_system("rename to", place, code);
  }
  before("sync parent");
  sync_path(folder_);
  remove_folder(old);
}

void CheckpointStore::remove_folder(const fs::path& folder) const {
  fs::path trash = folder;
  if (const std::string name = folder.filename().string(); !name.starts_with(".tmp-") && !name.starts_with(".trash-")) {
    const std::string step = name.starts_with(".old-") ? step_of_leftover(name, ".old-") : name;
    trash = folder_ / (".trash-" + step + "-" + nonce());
    before("rename to trash");
    rename_path(folder, trash);
    before("sync parent");
    sync_path(folder_);
  }
  before("unlink");
  std::error_code code;
  fs::remove_all(trash, code);
  MPIBERT_CHECK(!code, kIo, "cannot remove ", trash.string(), ": ", code.message());
}

void CheckpointStore::write_hint(const char* name, const std::string& checkpoint) const {
  before("write hint");
  write_file_atomically(folder_ / name, checkpoint + "\n");
}

void CheckpointStore::housekeep(const fs::path& published, int64_t limit) {
  write_hint("LATEST", published.filename().string());
  const std::vector<CheckpointInfo> all = list_checkpoints(run_);
  const CheckpointInfo* best = best_of(all);
  std::vector<const CheckpointInfo*> good;
  int64_t published_step = 0;
  for (const CheckpointInfo& info : all) {
    if (info.path == published) published_step = info.step;
    if (!info.problem.empty()) continue;
    good.push_back(&info);
  }
  if (best != nullptr) write_hint("BEST", best->name);
  if (limit <= 0) return;
  const std::set<std::string> pinned = pinned_names(folder_);
  int64_t kept = 0;
  for (auto info = good.rbegin(); info != good.rend(); ++info) {
    // Steps beyond the one just written are of a run that went on longer; what is broken is left for people to look at.
    if ((*info)->step > published_step || ++kept <= limit || *info == best || pinned.contains((*info)->name)) continue;
    remove_folder((*info)->path);
  }
}

}  // namespace mpibert
