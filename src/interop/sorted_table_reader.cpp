#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/crc32c.h"
#include "base/protobuf.h"
#include "interop/sorted_table.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr size_t kTrailerBytes = 5;  // of a block: compression, checksum
constexpr uint64_t kMaxBytes = 16 << 20;

struct BlockPlace {
  uint64_t begin = 0, size = 0;  // without its trailer
};

class TableReader {
 public:
  explicit TableReader(const InputFile& file)
      : file_(file), where_(file.path().string()), blocks_end_(file.size() - kSortedTableFooterBytes) {}

  std::vector<TableEntry> read() {
    const std::string footer = file_.read_text(blocks_end_, kSortedTableFooterBytes);
    std::string_view places(footer);
    read_block(block_place(places, "the footer"));  // an index of filters and the like: nothing that is needed
    std::vector<TableEntry> all;
    for (const TableEntry& block : read_block(block_place(places, "the footer"))) {
      std::string_view place(block.second);
      for (TableEntry& entry : read_block(block_place(place, "the index of blocks"))) {
        MPIBERT_CHECK(all.empty() || all.back().first < entry.first, kCorrupt, where_, ": the key \"", entry.first, "\" stands behind \"",
                      all.back().first, "\"");
        all.push_back(std::move(entry));
      }
    }
    return all;
  }

 private:
  BlockPlace block_place(std::string_view& text, const char* in) const {
    const std::optional<uint64_t> begin = take_varint(text), size = take_varint(text);
    MPIBERT_CHECK(begin && size, kCorrupt, where_, ": ", in, " names no place of a block");
    MPIBERT_CHECK(*begin <= blocks_end_ && *size <= blocks_end_ - *begin && blocks_end_ - *begin - *size >= kTrailerBytes, kCorrupt, where_,
                  ": ", in, " names a block of ", *size, " bytes from byte ", *begin, " on, but the blocks end at byte ", blocks_end_,
                  "; the file is truncated or damaged");
    return {*begin, *size};
  }

  std::vector<TableEntry> read_block(BlockPlace place) {
    const std::string in = str_cat(where_, ": the block of ", place.size, " bytes from byte ", place.begin, " on");
    bytes_ += place.size;
    MPIBERT_CHECK(bytes_ <= kMaxBytes, kCorrupt, where_, ": its blocks have more than ", kMaxBytes, " bytes");
    const std::string block = file_.read_text(place.begin, place.size + kTrailerBytes);
    uint32_t stored = 0;
    std::memcpy(&stored, block.data() + place.size + 1, sizeof(stored));
    const uint32_t found = masked_crc32c(crc32c(std::as_bytes(std::span(block).first(place.size + 1))));
    MPIBERT_CHECK(found == stored, kCorrupt, in, ": its CRC-32C is ", found, ", expected ", stored,
                  "; the file is damaged, fetch or write it again");
    MPIBERT_CHECK(
        block[place.size] != 1, kInvalidArgument, in,
        " is compressed with Snappy, which is not read here; write the checkpoint again with tf.train.Saver or tf.train.Checkpoint");
    MPIBERT_CHECK(block[place.size] == 0, kCorrupt, in, " is compressed in the unknown way ", static_cast<int>(block[place.size]));
    return parse_block(std::string_view(block).substr(0, place.size), in);
  }

  std::vector<TableEntry> parse_block(std::string_view block, const std::string& in) {
    uint32_t restarts = 0;
    MPIBERT_CHECK(block.size() >= sizeof(restarts), kCorrupt, in, " is too short");
    std::memcpy(&restarts, block.data() + block.size() - sizeof(restarts), sizeof(restarts));
    MPIBERT_CHECK(restarts <= block.size() / sizeof(restarts) - 1, kCorrupt, in, " claims ", restarts, " restart points");
    std::string_view rest = block.substr(0, block.size() - (restarts + size_t{1}) * sizeof(restarts));
    std::vector<TableEntry> entries;
    while (!rest.empty()) {
      const std::optional<uint64_t> shared = take_varint(rest), unshared = take_varint(rest), value = take_varint(rest);
      const size_t before = entries.empty() ? 0 : entries.back().first.size();
      MPIBERT_CHECK(shared && unshared && value && *shared <= before && *unshared <= rest.size() && *value <= rest.size() - *unshared,
                    kCorrupt, in, ": entry ", entries.size(), " does not end within it");
      bytes_ += *shared + *unshared + *value;
      MPIBERT_CHECK(bytes_ <= kMaxBytes, kCorrupt, where_, ": its keys and values have more than ", kMaxBytes, " bytes");
      std::string key = entries.empty() ? "" : entries.back().first.substr(0, *shared);
      key += rest.substr(0, *unshared);
      MPIBERT_CHECK(entries.empty() || entries.back().first < key, kCorrupt, in, ": the key \"", key, "\" stands behind \"",
                    entries.back().first, "\"");
      entries.emplace_back(std::move(key), rest.substr(*unshared, *value));
      rest.remove_prefix(*unshared + *value);
    }
    return entries;
  }

  const InputFile& file_;
  std::string where_;
  uint64_t blocks_end_;
  uint64_t bytes_ = 0;  // read so far, keys whole
};

}  // namespace

bool is_sorted_table(const InputFile& file) {
  uint64_t magic = 0;
  if (file.size() < kSortedTableFooterBytes) return false;
  file.read(file.size() - sizeof(magic), std::as_writable_bytes(std::span(&magic, 1)));
  return magic == kSortedTableMagic;
}

std::vector<TableEntry> read_sorted_table(const InputFile& file) {
  MPIBERT_CHECK(is_sorted_table(file), kCorrupt, file.path().string(),
                " does not end as a table of TensorFlow's does; it is truncated or of another format");
  return TableReader(file).read();
}

}  // namespace mpibert
