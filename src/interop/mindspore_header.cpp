#include "interop/mindspore_header.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/protobuf.h"
#include "interop/tensor_shape.h"
#include "mpibert/base/error.h"

namespace mpibert {

using Type = WireField::Type;

namespace {

constexpr uint64_t kMaxTensors = 100'000, kMaxSmallBytes = 4096;

constexpr std::array<std::pair<std::string_view, DType>, 6> kDtypes = {{{"Float32", DType::kFloat32},
                                                                        {"Float16", DType::kFloat16},
                                                                        {"BFloat16", DType::kBFloat16},
                                                                        {"Int64", DType::kInt64},
                                                                        {"Int32", DType::kInt32},
                                                                        {"UInt8", DType::kUInt8}}};

// A piece of the file: of a field of bytes where they lie.
struct Piece {
  uint64_t begin = 0, end = 0;
  uint64_t size() const { return end - begin; }
};

// The fields of a message in the file, which is too large to be read for them.
class FileFields {
 public:
  FileFields(const InputFile& file, Piece message, std::string where) : file_(file), rest_(message), where_(std::move(where)) {}

  struct Field {
    uint32_t number = 0;
    uint64_t value = 0;  // of a number
    Piece bytes{};       // of bytes
    bool is_bytes = false;
  };
  std::optional<Field> next() {
    if (rest_.size() == 0) return std::nullopt;
    const uint64_t tag = varint();
    const uint64_t type = tag & 7;
    MPIBERT_CHECK(type == 0 || type == 2, kCorrupt, where_, ": byte ", rest_.begin, ": a field of wire type ", type,
                  "; the file is damaged, encrypted or of another format");
    Field field{.number = static_cast<uint32_t>(std::min<uint64_t>(tag >> 3, 1u << 29)), .value = varint(), .is_bytes = type == 2};
    if (!field.is_bytes) return field;
    MPIBERT_CHECK(field.value <= rest_.size(), kCorrupt, where_, ": byte ", rest_.begin, ": a field of ", field.value,
                  " bytes reaches beyond byte ", rest_.end, "; the file is truncated or damaged");
    field.bytes = {rest_.begin, rest_.begin + field.value};
    rest_.begin += field.value;
    return field;
  }
  std::string text(const Field& field) const {
    MPIBERT_CHECK(field.is_bytes && field.bytes.size() <= kMaxSmallBytes, kCorrupt, where_, ": field ", field.number,
                  " is not a text of at most ", kMaxSmallBytes, " bytes");
    return file_.read_text(field.bytes.begin, field.bytes.size());
  }

 private:
  uint64_t varint() {
    const std::string head = file_.read_text(rest_.begin, std::min<uint64_t>(rest_.size(), 10));
    std::string_view text(head);
    const std::optional<uint64_t> value = take_varint(text);
    MPIBERT_CHECK(value, kCorrupt, where_, ": byte ", rest_.begin,
                  ": no whole number of variable length; the file is truncated or damaged");
    rest_.begin += head.size() - text.size();
    return *value;
  }

  const InputFile& file_;
  Piece rest_;
  std::string where_;
};

struct Parts {
  std::string type;
  std::vector<int64_t> dims;
  Piece content;
};

void add_dims(const FileFields& fields, const FileFields::Field& field, std::vector<int64_t>& dims) {
  if (!field.is_bytes) {
    dims.push_back(static_cast<int64_t>(field.value));
    return;
  }
  const std::string packed = fields.text(field);
  std::string_view rest(packed);
  while (!rest.empty()) {
    const std::optional<uint64_t> dim = take_varint(rest);
    dims.push_back(dim ? static_cast<int64_t>(*dim) : -1);
    if (!dim) return;
  }
}

Parts parse_tensor(const InputFile& file, Piece message, const std::string& where) {
  Parts parts;
  FileFields fields(file, message, where);
  while (const auto field = fields.next()) {
    if (field->number == 1 && parts.dims.size() < 16) add_dims(fields, *field, parts.dims);
    if (field->number == 2) parts.type = fields.text(*field);
    if (field->number == 3) {
      MPIBERT_CHECK(field->is_bytes, kCorrupt, where, ": tensor_content is a number");
      parts.content = field->bytes;
    }
  }
  return parts;
}

TensorInfo parse_value(const InputFile& file, Piece message, const std::string& where) {
  std::string name;
  std::optional<Piece> tensor;
  FileFields fields(file, message, where);
  while (const auto field = fields.next()) {
    if (field->number == 1) name = fields.text(*field);
    if (field->number == 2 && field->is_bytes) tensor = field->bytes;
  }
  const std::string in = str_cat(where, ": tensor \"", name, "\": ");
  MPIBERT_CHECK(!name.empty() && tensor, kCorrupt, in, "expected a name and a tensor in the ", message.size(), " bytes from ",
                message.begin, " on");
  const Parts parts = parse_tensor(file, *tensor, str_cat(where, ": tensor \"", name, "\""));
  const auto known = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& dtype) { return dtype.first == parts.type; });
  MPIBERT_CHECK(known != kDtypes.end(), kInvalidArgument, in, "of the type \"", parts.type,
                "\"; this program reads Float32, BFloat16, Float16, Int64, Int32 and UInt8");
  TensorInfo info{.name = name, .dtype = known->second, .begin = parts.content.begin};
  // MindSpore gives a scalar the one dimension 0.
  const bool is_scalar = parts.dims == std::vector<int64_t>{0} && parts.content.size() == bytes_of(info.dtype);
  info.shape = is_scalar ? Shape() : checked_shape(parts.dims, info.dtype, in);
  MPIBERT_CHECK(info.bytes() == parts.content.size(), kCorrupt, in, name_of(info.dtype), " ", info.shape.text(), " takes ", info.bytes(),
                " bytes, but it has ", parts.content.size());
  return info;
}

}  // namespace

bool is_mindspore_file(const InputFile& file) {
  // A value with a tag: both are field 1 with bytes. As the length of a safetensors header the first eight bytes would be odd, or too much.
  if (file.size() < 16) return false;
  const std::string head = file.read_text(0, 12);
  std::string_view rest(head);
  if (!rest.starts_with('\x0a') || head[8] == '{') return false;
  rest.remove_prefix(1);
  return take_varint(rest) && rest.starts_with('\x0a');
}

std::vector<TensorInfo> read_mindspore_header(const InputFile& file) {
  const std::string where = file.path().string();
  std::vector<TensorInfo> tensors;
  FileFields fields(file, {0, file.size()}, where);
  while (const auto field = fields.next()) {
    MPIBERT_CHECK(field->number == 1 && field->is_bytes, kCorrupt, where, ": a field ", field->number,
                  ", expected the values of a MindSpore checkpoint only");
    MPIBERT_CHECK(tensors.size() < kMaxTensors, kCorrupt, where, " has more than ", kMaxTensors, " tensors");
    tensors.push_back(parse_value(file, field->bytes, where));
  }
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name == b.name; });
  MPIBERT_CHECK(twice == tensors.end(), kInvalidArgument, where, ": \"", twice->name,
                "\" stands twice: a parameter of more than 512 MB in parts, which are not read");
  return tensors;
}

}  // namespace mpibert
