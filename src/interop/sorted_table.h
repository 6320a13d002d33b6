#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/input_file.h"

namespace mpibert {

// The sorted string table of LevelDB, in which TensorFlow keeps its index of tensors.
//   file    blocks; the last 48 bytes are the footer: the places (varint offset, varint size) of an index of other things and of the index
//           of blocks, filled up with zeros to 40 bytes, then the number kSortedTableMagic
//   block   entries, restart points (uint32 each), their count (uint32); behind it a byte (0: as it is, 1: compressed with Snappy) and a
//           masked CRC-32C of block and byte
//   entry   varint shared, varint unshared, varint value size, unshared bytes of the key, the value: a key begins with `shared` bytes of
//           the one before it, of none at a restart point
//   index of blocks: a block whose values are the places of blocks and whose keys are not less than theirs and less than the next block's
// Sources: doc/table_format.md of LevelDB; tensorflow/tsl/lib/io/table_format.txt.
constexpr uint64_t kSortedTableMagic = 0xdb4775248b80fb57;
constexpr size_t kSortedTableFooterBytes = 48;

using TableEntry = std::pair<std::string, std::string>;  // key, value

bool is_sorted_table(const InputFile& file);

// All entries, in order of keys (bytes). Throws kCorrupt with the file and the byte for what does not obey the format: places outside the
// file, a wrong checksum, keys that do not ascend, more than 16 MiB of keys and values; kInvalidArgument for a compressed block.
std::vector<TableEntry> read_sorted_table(const InputFile& file);

// The bytes of a table of these entries, whose keys ascend: as TensorFlow writes it, uncompressed blocks of about 256 KiB with a restart
// point every 16 entries.
std::string sorted_table(const std::vector<TableEntry>& entries);

}  // namespace mpibert
