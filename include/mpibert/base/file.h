#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace mpibert {

// All functions throw Error with the path and the system's words: kNotFound, kPermission or kIo.

// The whole file. Throws kCorrupt when it is larger than `max_bytes`: a cap against files that are not what they claim to be.
std::string read_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 31);

// A file of its own name-to-be that appears whole or not at all: bytes go to `path`.tmp, commit() flushes, syncs and renames.
// Without commit() the destructor removes what was written.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// fsync of a file or of a directory, so that a rename within it survives a power cut.
void sync_path(const std::filesystem::path& path);

}  // namespace mpibert
