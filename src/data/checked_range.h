#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"

namespace mpibert {

// Bytes [begin, begin + size) of a file in blocks with a checksum each. A block is read whole and checked before any part of it is used for
// the first time, later only what is asked for is read.
class CheckedRange {
 public:
  CheckedRange() = default;
  CheckedRange(std::string name, int64_t begin, int64_t size, std::vector<uint32_t> checksums);
  // Bytes from .. from + bytes.size() - 1 of the range. Throws kCorrupt naming the file, the range and the block.
  void read(const InputFile& file, int64_t from, std::span<std::byte> bytes);

 private:
  void check_block(const InputFile& file, size_t block);
  std::string name_;
  int64_t begin_ = 0, size_ = 0;
  std::vector<uint32_t> checksums_;
  std::vector<bool> checked_;
};

}  // namespace mpibert
