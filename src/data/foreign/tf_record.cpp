#include "data/foreign/tf_record.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr uint64_t kMaxRecordBytes = uint64_t{64} << 20;
constexpr uint64_t kReadBytes = uint64_t{1} << 20;

uint32_t checksum(std::string_view bytes) { return masked_crc32c(crc32c(std::as_bytes(std::span(bytes)))); }

template <class Number>
void append_number(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

std::string TfRecordReader::where() const { return str_cat(file_.path().string(), ": record ", records_ - 1); }

std::string TfRecordReader::take(uint64_t bytes, const char* what) {
  if (buffer_.size() - used_ < bytes) {
    buffer_.erase(0, used_);
    used_ = 0;
    const uint64_t wanted = std::min(std::max(bytes - buffer_.size(), kReadBytes), file_.size() - offset_);
    buffer_ += file_.read_text(offset_, wanted);
    offset_ += wanted;
    MPIBERT_CHECK(buffer_.size() >= bytes, kCorrupt, where(), ": ", what, " has ", bytes, " bytes, ", buffer_.size(),
                  " are left; the file was cut off or is no TFRecord");
  }
  used_ += bytes;
  return buffer_.substr(used_ - bytes, bytes);
}

void TfRecordReader::check(const std::string& bytes, const std::string& stored, const char* what) const {
  uint32_t crc = 0;
  std::memcpy(&crc, stored.data(), sizeof(crc));
  MPIBERT_CHECK(checksum(bytes) == crc, kCorrupt, where(), ": the CRC-32C of ", what,
                " does not agree; the file is damaged or is no TFRecord");
}

std::optional<std::string> TfRecordReader::next() {
  if (used_ == buffer_.size() && offset_ == file_.size()) return std::nullopt;
  ++records_;
  const std::string length_bytes = take(sizeof(uint64_t), "its length");
  check(length_bytes, take(sizeof(uint32_t), "the checksum of its length"), "its length");
  uint64_t length = 0;
  std::memcpy(&length, length_bytes.data(), sizeof(length));
  MPIBERT_CHECK(length <= kMaxRecordBytes, kCorrupt, where(), " has ", length, " bytes, expected at most ", kMaxRecordBytes);
  std::string record = take(length, "its data");
  check(record, take(sizeof(uint32_t), "the checksum of its data"), "its data");
  return record;
}

void append_tf_record(std::string& out, std::string_view record) {
  std::string length;
  append_number(length, uint64_t{record.size()});
  out += length;
  append_number(out, checksum(length));
  out += record;
  append_number(out, checksum(record));
}

}  // namespace mpibert
