#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "train/checkpoint_files.h"
#include "train/checkpoint_store.h"

namespace mpibert {

// A new file that is hashed while it is written, and synced. Only for directories that nobody else looks into yet.
class StagedFile {
 public:
  StagedFile(std::filesystem::path path, const StoreHook& hook);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  void write(std::span<const std::byte> bytes);
  ManifestFile finish();  // syncs and closes. A file whose sync failed is never synced again: its pages may be lost already

 private:
  void before(std::string_view operation) const {
    if (hook_) hook_(operation);
  }

  std::filesystem::path path_;
  const StoreHook& hook_;
  int descriptor_ = -1;
  int64_t size_ = 0;
  Sha256 sha_;
};

}  // namespace mpibert
