#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "mpibert/train/checkpoint.h"

namespace mpibert {

// Called before each change that the store makes on the disk, with its name ("create model.safetensors", "write", "sync", "rename", ...).
// Tests throw or end the process there, which is how every crash point of a save is visited.
using StoreHook = std::function<void(std::string_view operation)>;

// The directories of one run's checkpoints: the protocol written down in checkpoint.h. Not thread-safe; under the RunLock.
class CheckpointStore {
 public:
  // can_exchange: false to do without renameat2, as on file systems that lack it.
  explicit CheckpointStore(const std::filesystem::path& run, StoreHook hook = {}, bool can_exchange = true);

  // Finishes or removes what a dead run left.
  void recover();

  struct Published {
    std::filesystem::path path;
    int64_t bytes = 0;
    bool kept = false;  // the step was there already, good and the same
  };
  // On an error nothing is left behind and what was published before is untouched.
  Published publish(const Snapshot& snapshot);

  // Writes LATEST and BEST, then deletes the oldest beyond `limit` (0: none), never `published`, the best, a pinned, or one whose step is
  // larger.
  void housekeep(const std::filesystem::path& published, int64_t limit);

 private:
  void before(std::string_view operation) const {
    if (hook_) hook_(operation);
  }
  int64_t write_all(const Snapshot& snapshot, const std::filesystem::path& staging) const;
  void put_in_place(const std::filesystem::path& staging, const std::filesystem::path& place) const;
  void remove_folder(const std::filesystem::path& folder) const;
  void write_hint(const char* name, const std::string& checkpoint) const;

  std::filesystem::path folder_, run_;
  StoreHook hook_;
  bool can_exchange_;
};

// Throws kInvalidArgument unless the parts of a snapshot fit together.
void check_snapshot(const Snapshot& snapshot);

}  // namespace mpibert
