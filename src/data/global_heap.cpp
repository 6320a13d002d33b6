#include "data/global_heap.h"

#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr uint64_t kHeaderBytes = 16, kObjectHeaderBytes = 16;
constexpr uint64_t kMaxCollectionBytes = uint64_t{64} << 20;
constexpr size_t kCollections = 64;  // that are remembered: rows of several datasets share them

template <class Number>
Number number_at(const std::string& bytes, size_t place) {
  Number value = 0;
  std::memcpy(&value, bytes.data() + place, sizeof(value));
  return value;
}

}  // namespace

const GlobalHeap::Collection& GlobalHeap::collection(uint64_t address, const std::string& where) {
  if (const auto found = collections_.find(address); found != collections_.end()) return found->second;
  MPIBERT_CHECK(address <= file_.size() && file_.size() - address >= kHeaderBytes, kCorrupt, where, " lies at byte ", address, " of ",
                file_.size(), "; the file is damaged or not whole");
  const std::string header = file_.read_text(address, kHeaderBytes);
  const auto size = number_at<uint64_t>(header, 8);
  MPIBERT_CHECK(header.starts_with("GCOL\x01") && size >= kHeaderBytes && size <= std::min(kMaxCollectionBytes, file_.size() - address),
                kCorrupt, where, ": no collection of rows of ", size, " bytes at byte ", address, "; the file is damaged or not whole");
  Collection read{.bytes = file_.read_text(address, size), .objects = {}};
  for (uint64_t place = kHeaderBytes; size - place >= kObjectHeaderBytes;) {
    const auto number = number_at<uint16_t>(read.bytes, place);
    const auto bytes = number_at<uint64_t>(read.bytes, place + 8);
    if (number == 0) break;
    place += kObjectHeaderBytes;
    MPIBERT_CHECK(bytes <= size - place, kCorrupt, where, ": object ", number, " of the collection at byte ", address, " has ", bytes,
                  " bytes, ", size - place, " are left; the file is damaged");
    read.objects[number] = {place, bytes};
    place += std::min((bytes + 7) / 8 * 8, size - place);
  }
  if (order_.size() == kCollections) {
    collections_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(address);
  return collections_[address] = std::move(read);
}

std::vector<std::string> GlobalHeap::read_rows(uint64_t offset, int64_t count, int64_t bytes_of_value, const std::string& where,
                                               int64_t first_row) {
  const uint64_t wanted = static_cast<uint64_t>(count) * kReferenceBytes;
  MPIBERT_CHECK(offset <= file_.size() && file_.size() - offset >= wanted, kCorrupt, where, ": ", wanted, " bytes at byte ", offset, " of ",
                file_.size(), "; the file is not whole");
  const std::string references = file_.read_text(offset, wanted);
  std::vector<std::string> rows;
  for (size_t place = 0; place < references.size(); place += kReferenceBytes) {
    const uint64_t bytes = uint64_t{number_at<uint32_t>(references, place)} * static_cast<uint64_t>(bytes_of_value);
    if (bytes == 0) {
      rows.emplace_back();
      continue;
    }
    const std::string row = str_cat(where, ": row ", first_row + std::ssize(rows));
    const Collection& holder = collection(number_at<uint64_t>(references, place + 4), row);
    const auto number = number_at<uint32_t>(references, place + 12);
    const auto object = holder.objects.find(number);
    MPIBERT_CHECK(object != holder.objects.end() && object->second.second == bytes, kCorrupt, row, " has ", bytes, " bytes in object ",
                  number, ", which ", object == holder.objects.end() ? std::string("is not there") : str_cat("has ", object->second.second),
                  "; the file is damaged");
    rows.push_back(holder.bytes.substr(object->second.first, bytes));
  }
  return rows;
}

}  // namespace mpibert
