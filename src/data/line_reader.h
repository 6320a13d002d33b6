#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/decompressor.h"

namespace mpibert {

// Lines of a file, or of /dev/stdin, that may be compressed (data/decompressor.h). A line ends at \n, and one \r before it is dropped; a
// byte order mark at the start of the file is dropped. Throws as Decompressor, and kCorrupt for a line of more than 64 MiB.
class LineReader {
 public:
  // Begins with the first line that starts at byte `begin` or later. Throws kInvalidArgument for begin > 0 in a compressed file, whose
  // bytes are not those of the text.
  explicit LineReader(std::filesystem::path path, int64_t begin = 0);

  bool next(std::string_view& line);  // which lives until the next call; false at the end
  bool next(std::string& line);
  int64_t offset() const { return offset_; }  // where the last line began
  int64_t number() const { return number_; }  // of the last line, from 1 at the place of beginning
  const std::filesystem::path& path() const { return path_; }
  std::string where() const;  // "file:12"

 private:
  bool fill();
  std::filesystem::path path_;
  Decompressor bytes_;
  std::vector<char> buffer_;  // used_ .. size_-1 wait
  size_t used_ = 0, size_ = 0;
  int64_t position_ = 0, offset_ = 0, number_ = 0;
};

// Nothing but white space, as Unicode defines it.
bool is_blank(std::string_view line);

}  // namespace mpibert
