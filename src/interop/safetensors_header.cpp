#include "interop/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "interop/tensor_shape.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/safetensors.h"

namespace mpibert {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<std::string_view, DType>, 6> kReadable = {{{"F32", DType::kFloat32},
                                                                          {"BF16", DType::kBFloat16},
                                                                          {"F16", DType::kFloat16},
                                                                          {"I64", DType::kInt64},
                                                                          {"I32", DType::kInt32},
                                                                          {"U8", DType::kUInt8}}};
// Of the format, but nothing here has a use for them.
constexpr std::array<std::string_view, 17> kOthers = {"BOOL",    "I8",      "I16",         "U16",         "U32",           "U64",
                                                      "F64",     "C64",     "F8_E5M2",     "F8_E4M3",     "F8_E8M0",       "F4",
                                                      "F6_E2M3", "F6_E3M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E4M3B11FNUZ"};

// Reads the header as the machine below, so that nothing is stored but what a valid header holds:
//   { "__metadata__" : { key : string, ... },  NAME : { "dtype" : string, "shape" : [counts], "data_offsets" : [begin, end] }, ... }
class HeaderReader {
 public:
  using number_integer_t = json::number_integer_t;
  using number_unsigned_t = json::number_unsigned_t;
  using number_float_t = json::number_float_t;
  using string_t = json::string_t;
  using binary_t = json::binary_t;

  explicit HeaderReader(const std::string& file) : file_(file) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a truth value"); }
  bool number_integer(number_integer_t) { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) { return unexpected("a number that is no 64-bit count"); }
  bool binary(binary_t&) { return unexpected("bytes"); }

  bool number_unsigned(number_unsigned_t value) {
    if (state_ == State::kShape) {
      MPIBERT_CHECK(value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), kCorrupt, place(), "dimension ", value,
                    " is too large");
      dims_.push_back(static_cast<int64_t>(value));
      MPIBERT_CHECK(dims_.size() <= 5, kInvalidArgument, place(), "more than 5 dimensions; this program reads up to 5");
    } else if (state_ == State::kOffsets) {
      offsets_.push_back(value);
      MPIBERT_CHECK(offsets_.size() <= 2, kCorrupt, place(), "data_offsets has more than 2 numbers");
    } else {
      return unexpected("a number");
    }
    return true;
  }

  bool string(string_t& value) {
    if (state_ == State::kMetadata) {
      MPIBERT_CHECK(header_.metadata.emplace(key_, value).second, kCorrupt, file_, ": __metadata__: the key \"", key_, "\" stands twice");
      return true;
    }
    if (state_ != State::kTensor || key_ != "dtype") return unexpected("a string");
    for (const auto& [name, dtype] : kReadable) {
      if (name == value) {
        header_.tensors.back().dtype = dtype;
        return true;
      }
    }
    MPIBERT_CHECK(std::find(kOthers.begin(), kOthers.end(), value) == kOthers.end(), kInvalidArgument, place(), "dtype ", value,
                  "; this program reads F32, BF16, F16, I64, I32 and U8");
    throw Error(ErrorKind::kCorrupt, str_cat(place(), "unknown dtype \"", value, "\""));
  }

  bool key(string_t& name) {
    key_ = name;
    if (state_ != State::kTensor) return true;
    const int bit = name == "dtype" ? 1 : name == "shape" ? 2 : name == "data_offsets" ? 4 : 0;
    MPIBERT_CHECK(bit != 0, kCorrupt, place(), "unknown key \"", name, "\"; expected dtype, shape, data_offsets");
    MPIBERT_CHECK((seen_ & bit) == 0, kCorrupt, place(), "the key \"", name, "\" stands twice");
    seen_ |= bit;
    return true;
  }

  bool start_object(std::size_t) {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && key_ == "__metadata__") {
      MPIBERT_CHECK(!has_metadata_, kCorrupt, file_, ": __metadata__ stands twice");
      has_metadata_ = true;
      state_ = State::kMetadata;
    } else if (state_ == State::kTop) {
      header_.tensors.emplace_back().name = key_;
      dims_.clear();
      offsets_.clear();
      seen_ = 0;
      state_ = State::kTensor;
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool end_object() {
    if (state_ == State::kTensor) finish_tensor();
    state_ = state_ == State::kTop ? State::kStart : State::kTop;
    return true;
  }

  bool start_array(std::size_t) {
    if (state_ != State::kTensor || (key_ != "shape" && key_ != "data_offsets")) return unexpected("an array");
    state_ = key_ == "shape" ? State::kShape : State::kOffsets;
    return true;
  }
  bool end_array() {
    state_ = State::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(file_, ": header is not JSON at its byte ", position, ": ", error.what()));
  }

 private:
  enum class State : uint8_t { kStart, kTop, kMetadata, kTensor, kShape, kOffsets };

  std::string place() const {
    const bool in_tensor = state_ == State::kTensor || state_ == State::kShape || state_ == State::kOffsets;
    return in_tensor ? str_cat(file_, ": tensor \"", header_.tensors.back().name, "\": ") : file_ + ": header: ";
  }
  bool unexpected(const char* what) const {
    throw Error(ErrorKind::kCorrupt, str_cat(place(), what, " where the format has none", key_.empty() ? "" : ", at \"" + key_ + "\""));
  }

  void finish_tensor() {
    TensorInfo& tensor = header_.tensors.back();
    MPIBERT_CHECK(seen_ == 7, kCorrupt, place(), "dtype, shape or data_offsets is missing");
    MPIBERT_CHECK(offsets_.size() == 2, kCorrupt, place(), "data_offsets has ", offsets_.size(), " numbers, not 2");
    tensor.shape = checked_shape(dims_, tensor.dtype, place());
    tensor.begin = offsets_[0];
    const uint64_t expected = tensor.bytes();
    MPIBERT_CHECK(offsets_[0] <= offsets_[1] && offsets_[1] - offsets_[0] == expected, kCorrupt, place(), safetensors_dtype(tensor.dtype),
                  " ", tensor.shape.text(), " takes ", expected, " bytes, but data_offsets are [", offsets_[0], ", ", offsets_[1], "]");
  }

  const std::string& file_;
  SafetensorsHeader header_;
  State state_ = State::kStart;
  std::string key_;
  std::vector<int64_t> dims_;
  std::vector<uint64_t> offsets_;
  int seen_ = 0;  // keys of this tensor: 1 dtype, 2 shape, 4 data_offsets
  bool has_metadata_ = false;
};

// Sorted by place, each tensor begins where the one before it ends, and the last ends with the file.
void check_cover(std::vector<TensorInfo>& tensors, uint64_t data_size, const std::string& file) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return std::pair(a.begin, a.bytes()) < std::pair(b.begin, b.bytes()); });
  uint64_t covered = 0;
  for (const TensorInfo& tensor : tensors) {
    MPIBERT_CHECK(tensor.begin == covered, kCorrupt, file, ": tensor \"", tensor.name, "\": begins at byte ", tensor.begin,
                  " of the data, expected ", covered, ": tensors ", tensor.begin < covered ? "overlap" : "leave a gap");
    covered = tensor.begin + tensor.bytes();
  }
  MPIBERT_CHECK(covered == data_size, kCorrupt, file, ": the tensors end at byte ", covered, " of the data, but the file has ", data_size,
                covered > data_size ? "; it is truncated" : "; it has a tail that belongs to no tensor");
}

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  for (const auto& [name, readable] : kReadable) {
    if (readable == dtype) return name;
  }
  throw Error(ErrorKind::kInvalidArgument, "a dtype that safetensors lacks");
}

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_begin, uint64_t data_size, const std::string& file) {
  MPIBERT_CHECK(!text.empty() && text[0] == '{', kCorrupt, file, ": the header does not begin with '{'");
  HeaderReader reader(file);
  json::sax_parse(text, &reader);
  SafetensorsHeader header = reader.take();
  check_cover(header.tensors, data_size, file);
  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    TensorInfo& tensor = header.tensors[i];
    MPIBERT_CHECK(i == 0 || tensor.name != header.tensors[i - 1].name, kCorrupt, file, ": tensor \"", tensor.name,
                  "\" stands twice in the header");
    tensor.begin += data_begin;
  }
  return header;
}

SafetensorsHeader read_safetensors_header(const InputFile& file) {
  const std::string name = file.path().string();
  MPIBERT_CHECK(file.size() >= 8, kCorrupt, name, " has ", file.size(), " bytes; a safetensors file has at least 8");
  uint64_t header_bytes = 0;
  file.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  MPIBERT_CHECK(header_bytes <= kSafetensorsMaxHeaderBytes, kCorrupt, name, ": the header claims ", header_bytes, " bytes, more than the ",
                kSafetensorsMaxHeaderBytes, " that the format allows; this may be no safetensors file");
  MPIBERT_CHECK(header_bytes <= file.size() - 8, kCorrupt, name, ": the header claims ", header_bytes, " bytes, but the file has ",
                file.size(), "; it is truncated or no safetensors file");
  return parse_safetensors_header(file.read_text(8, header_bytes), 8 + header_bytes, file.size() - 8 - header_bytes, name);
}

}  // namespace mpibert
