#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mpibert {

// A file open for reading at any place.
class ReadableFile {
 public:
  explicit ReadableFile(std::filesystem::path path);  // kNotFound, kPermission, kIo
  ~ReadableFile();
  ReadableFile(ReadableFile&& other) noexcept;
  ReadableFile& operator=(ReadableFile&&) = delete;
  // Bytes offset .. offset + bytes.size() - 1. Throws kIo, and kCorrupt where the file ends before.
  void read(int64_t offset, std::span<std::byte> bytes) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

// Bytes [begin, begin + size) of a file in blocks with a checksum each. A block is read whole and checked before any part of it is used for the first time, later only what is
// asked for is read.
class CheckedRange {
 public:
  CheckedRange() = default;
  CheckedRange(std::string name, int64_t begin, int64_t size, std::vector<uint32_t> checksums);
  // Bytes from .. from + bytes.size() - 1 of the range. Throws kCorrupt naming the file, the range and the block.
  void read(const ReadableFile& file, int64_t from, std::span<std::byte> bytes);

 private:
  void check_block(const ReadableFile& file, size_t block);
  std::string name_;
  int64_t begin_ = 0, size_ = 0;
  std::vector<uint32_t> checksums_;
  std::vector<bool> checked_;
};

}  // namespace mpibert
