#include "data/checked_range.h"

#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "data/token_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using token_format::kBlockBytes;

CheckedRange::CheckedRange(std::string name, int64_t begin, int64_t size, std::vector<uint32_t> checksums)
    : name_(std::move(name)), begin_(begin), size_(size), checksums_(std::move(checksums)), checked_(checksums_.size()) {
  MPIBERT_ASSERT(static_cast<int64_t>(checksums_.size()) == (size + kBlockBytes - 1) / kBlockBytes);
}

void CheckedRange::read(const InputFile& file, int64_t from, std::span<std::byte> bytes) {
  MPIBERT_ASSERT(from >= 0 && from + static_cast<int64_t>(bytes.size()) <= size_);
  if (bytes.empty()) return;
  const auto last = static_cast<size_t>((from + static_cast<int64_t>(bytes.size()) - 1) / kBlockBytes);
  for (auto block = static_cast<size_t>(from / kBlockBytes); block <= last; ++block)
    if (!checked_[block]) check_block(file, block);
  file.read(static_cast<uint64_t>(begin_ + from), bytes);
}

void CheckedRange::check_block(const InputFile& file, size_t block) {
  const int64_t from = static_cast<int64_t>(block) * kBlockBytes;
  std::vector<std::byte> bytes(static_cast<size_t>(std::min(kBlockBytes, size_ - from)));
  file.read(static_cast<uint64_t>(begin_ + from), bytes);
  const uint32_t found = crc32c(bytes);
  MPIBERT_CHECK(found == checksums_[block], kCorrupt, "shard ", file.path().string(), ": dataset ", name_, ": bytes ", from, " to ",
                from + static_cast<int64_t>(bytes.size()), " have CRC-32C ", found, ", expected ", checksums_[block],
                "; the file is damaged, prepare the data again");
  checked_[block] = true;
}

}  // namespace mpibert
