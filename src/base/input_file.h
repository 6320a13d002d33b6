#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace mpibert {

// A regular file, open for reading at any place. Throws kNotFound, kPermission, kIo; kCorrupt for what is no regular file.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  // Fills `out` from byte `offset` on. Throws kIo; kCorrupt when the file ends before.
  void read(uint64_t offset, std::span<std::byte> out) const;
  std::string read_text(uint64_t offset, size_t bytes) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace mpibert
