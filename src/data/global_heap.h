#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"

namespace mpibert {

// Rows of variable length of an HDF5 file. A dataset of them holds references of 16 bytes: uint32 values, uint64 address of a collection,
// uint32 number of an object in it. A collection is
//   "GCOL"   uint8 version 1   3 bytes   uint64 its size   objects: uint16 number, uint16 uses, 4 bytes, uint64 size, data
//            up to the next multiple of 8; number 0 is what is free
// all little-endian. Source: HDF5 File Format Specification 3.0, III.E and VIII.B. Read here and not by the library, which (1.10.8) follows
// a damaged reference out of its memory.
class GlobalHeap {
 public:
  static constexpr uint64_t kReferenceBytes = 16;

  explicit GlobalHeap(const std::filesystem::path& path) : file_(path) {}
  // The data of `count` references that begin at byte `offset` of the file; bytes_of_value: of one value of a row. Throws kCorrupt; `where`
  // names the dataset, `first_row` the first of them.
  std::vector<std::string> read_rows(uint64_t offset, int64_t count, int64_t bytes_of_value, const std::string& where, int64_t first_row);

 private:
  struct Collection {
    std::string bytes;
    std::map<uint32_t, std::pair<size_t, size_t>> objects;  // by number: begin, size
  };
  const Collection& collection(uint64_t address, const std::string& where);

  InputFile file_;
  std::map<uint64_t, Collection> collections_;
  std::list<uint64_t> order_;  // in which they were read, to forget the oldest
};

}  // namespace mpibert
