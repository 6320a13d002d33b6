#include <algorithm>

#include "base/crc32c.h"
#include "base/protobuf.h"
#include "interop/sorted_table.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr size_t kBlockBytes = 256 << 10;
constexpr size_t kRestartInterval = 16;

void append_raw(std::string& out, const auto& number) { out.append(reinterpret_cast<const char*>(&number), sizeof(number)); }

class BlockWriter {
 public:
  explicit BlockWriter(size_t restart_interval) : restart_interval_(restart_interval) {}

  void add(const std::string& key, std::string_view value) {
    size_t shared = 0;
    if (entries_ % restart_interval_ == 0) {
      restarts_.push_back(static_cast<uint32_t>(bytes_.size()));
    } else {
      shared = static_cast<size_t>(std::mismatch(key.begin(), key.end(), last_.begin(), last_.end()).first - key.begin());
    }
    append_varint(bytes_, shared);
    append_varint(bytes_, key.size() - shared);
    append_varint(bytes_, value.size());
    bytes_ += key.substr(shared);
    bytes_ += value;
    last_ = key;
    ++entries_;
  }
  bool empty() const { return entries_ == 0; }
  size_t size() const { return bytes_.size(); }
  const std::string& last() const { return last_; }

  // With the trailer, behind what is in `file`. Returns its place.
  std::string append_to(std::string& file) {
    if (restarts_.empty()) restarts_.push_back(0);
    for (const uint32_t restart : restarts_) append_raw(bytes_, restart);
    append_raw(bytes_, static_cast<uint32_t>(restarts_.size()));
    std::string place;
    append_varint(place, file.size());
    append_varint(place, bytes_.size());
    bytes_ += '\0';  // not compressed
    const uint32_t crc = masked_crc32c(crc32c(std::as_bytes(std::span(bytes_))));
    append_raw(bytes_, crc);
    file += bytes_;
    *this = BlockWriter(restart_interval_);
    return place;
  }

 private:
  size_t restart_interval_, entries_ = 0;
  std::string bytes_, last_;
  std::vector<uint32_t> restarts_;
};

}  // namespace

std::string sorted_table(const std::vector<TableEntry>& entries) {
  std::string file;
  BlockWriter block(kRestartInterval), index(1), other(kRestartInterval);
  const auto finish_block = [&] {
    const std::string last = block.last();
    index.add(last, block.append_to(file));
  };
  for (const auto& [key, value] : entries) {
    MPIBERT_ASSERT(&key == &entries.front().first || block.empty() || block.last() < key);
    block.add(key, value);
    if (block.size() >= kBlockBytes) finish_block();
  }
  if (!block.empty()) finish_block();
  std::string footer = other.append_to(file);
  footer += index.append_to(file);
  footer.resize(kSortedTableFooterBytes - sizeof(kSortedTableMagic), '\0');
  append_raw(footer, kSortedTableMagic);
  return file + footer;
}

}  // namespace mpibert
