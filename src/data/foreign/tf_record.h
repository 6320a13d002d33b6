#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/input_file.h"
#include "mpibert/base/file.h"

namespace mpibert {

// A TFRecord file is a row of records, all numbers little-endian:
//   uint64 length   uint32 masked CRC-32C of the length's 8 bytes   `length` bytes   uint32 masked CRC-32C of these
// Source: tensorflow/core/lib/io/record_writer.cc; base/crc32c.h.
class TfRecordReader {
 public:
  explicit TfRecordReader(const std::filesystem::path& path) : file_(path) {}

  // The next record; none at the end. Throws kCorrupt for a record that is cut off, of more than 64 MiB, or whose checksums do not agree.
  std::optional<std::string> next();
  std::string where() const;  // of the record read last, "FILE: record 3"

 private:
  std::string take(uint64_t bytes, const char* what);
  void check(const std::string& bytes, const std::string& stored, const char* what) const;

  InputFile file_;
  std::string buffer_;  // bytes of the file from `offset_` - its size on
  size_t used_ = 0;
  uint64_t offset_ = 0;
  int64_t records_ = 0;
};

void append_tf_record(std::string& out, std::string_view record);

}  // namespace mpibert
