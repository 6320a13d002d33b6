#include "base/protobuf.h"

#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert {

std::optional<uint64_t> take_varint(std::string_view& text) {
  uint64_t value = 0;
  for (size_t i = 0; i < text.size() && i < 10; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (i == 9 && byte > 1) return std::nullopt;  // more than 64 bits
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      text.remove_prefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

uint64_t WireReader::varint() {
  const std::optional<uint64_t> value = take_varint(rest_);
  MPIBERT_CHECK(value, kCorrupt, where_, ": byte ", size_ - rest_.size(), " of ", size_, ": no whole number of variable length");
  return *value;
}

std::string_view WireReader::take(uint64_t bytes) {
  MPIBERT_CHECK(bytes <= rest_.size(), kCorrupt, where_, ": byte ", size_ - rest_.size(), " of ", size_, ": a field of ", bytes,
                " bytes reaches beyond the message");
  const std::string_view taken = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return taken;
}

uint64_t WireReader::fixed(size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, take(bytes).data(), bytes);
  return value;
}

std::optional<WireField> WireReader::next() {
  if (rest_.empty()) return std::nullopt;
  const size_t at = size_ - rest_.size();
  const uint64_t tag = varint();
  MPIBERT_CHECK(tag >> 3 != 0 && tag >> 3 < (uint64_t{1} << 29), kCorrupt, where_, ": byte ", at, " of ", size_,
                ": no field has the number ", tag >> 3);
  WireField field{.number = static_cast<uint32_t>(tag >> 3), .type = static_cast<WireField::Type>(tag & 7)};
  switch (field.type) {
    case WireField::Type::kVarint:
      field.value = varint();
      return field;
    case WireField::Type::kFixed64:
      field.value = fixed(8);
      return field;
    case WireField::Type::kBytes:
      field.bytes = take(varint());
      return field;
    case WireField::Type::kFixed32:
      field.value = fixed(4);
      return field;
  }
  throw Error(ErrorKind::kCorrupt, str_cat(where_, ": byte ", at, " of ", size_, ": a field of wire type ", tag & 7));
}

void WireReader::expect(const WireField& field, WireField::Type type) const {
  MPIBERT_CHECK(field.type == type, kCorrupt, where_, ": field ", field.number, " is of wire type ", static_cast<int>(field.type),
                ", expected ", static_cast<int>(type));
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_varint_field(std::string& out, uint32_t number, uint64_t value) {
  append_varint(out, number << 3 | static_cast<uint32_t>(WireField::Type::kVarint));
  append_varint(out, value);
}

void append_bytes_field(std::string& out, uint32_t number, std::string_view bytes) {
  append_varint(out, number << 3 | static_cast<uint32_t>(WireField::Type::kBytes));
  append_varint(out, bytes.size());
  out += bytes;
}

void append_fixed32_field(std::string& out, uint32_t number, uint32_t value) {
  append_varint(out, number << 3 | static_cast<uint32_t>(WireField::Type::kFixed32));
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace mpibert
