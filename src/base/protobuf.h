#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mpibert {

// The wire format of protocol buffers: a message is a row of fields, each a varint (number << 3 | type) and its value.
// Source: protobuf.dev/programming-guides/encoding. Groups (types 3 and 4) are refused: no message read here has one.

struct WireField {
  enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t value = 0;        // of the three number types
  std::string_view bytes{};  // of kBytes: a text, a message, packed numbers
};

// Walks over a message that somebody else keeps. `where` stands in messages.
class WireReader {
 public:
  WireReader(std::string_view message, std::string where) : rest_(message), size_(message.size()), where_(std::move(where)) {}

  // The next field; none at the end. Throws kCorrupt for a field that does not end within the message.
  std::optional<WireField> next();
  // Throws kCorrupt unless the field is of this type.
  void expect(const WireField& field, WireField::Type type) const;
  const std::string& where() const { return where_; }

 private:
  uint64_t varint();
  uint64_t fixed(size_t bytes);
  std::string_view take(uint64_t bytes);

  std::string_view rest_;
  size_t size_;
  std::string where_;
};

// One varint at the front of `text`, which loses it. None: it does not end within 10 bytes or within the text.
std::optional<uint64_t> take_varint(std::string_view& text);

void append_varint(std::string& out, uint64_t value);
void append_varint_field(std::string& out, uint32_t number, uint64_t value);
void append_bytes_field(std::string& out, uint32_t number, std::string_view bytes);
void append_fixed32_field(std::string& out, uint32_t number, uint32_t value);

}  // namespace mpibert
