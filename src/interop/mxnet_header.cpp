#include "interop/mxnet_header.h"

#include <algorithm>
#include <array>
#include <utility>

#include "interop/tensor_shape.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr uint64_t kMagic = 0x112;
constexpr uint32_t kVersion2 = 0xf993fac9, kVersion3 = 0xf993faca;
constexpr uint64_t kMaxArrays = 100'000, kMaxNameBytes = 4096;

// mshadow's TypeFlag.
constexpr std::array<std::pair<int32_t, DType>, 6> kDtypes = {
    {{0, DType::kFloat32}, {2, DType::kFloat16}, {3, DType::kUInt8}, {4, DType::kInt32}, {6, DType::kInt64}, {12, DType::kBFloat16}}};

class MxnetReader {
 public:
  explicit MxnetReader(const InputFile& file) : file_(file), where_(file.path().string()) {}

  std::vector<TensorInfo> read() {
    take<uint64_t>("the magic number");
    MPIBERT_CHECK(take<uint64_t>("a reserved number") == 0, kCorrupt, where_, ": byte 8: expected 0");
    std::vector<TensorInfo> tensors(count("arrays"));
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i] = array(str_cat(where_, ": array ", i, ": "));
    const uint64_t names = count("names");
    MPIBERT_CHECK(names != 0 || tensors.empty(), kInvalidArgument, where_,
                  ": its arrays have no names; save the model with save_parameters()");
    MPIBERT_CHECK(names == tensors.size(), kCorrupt, where_, ": ", tensors.size(), " arrays, but ", names, " names");
    for (TensorInfo& tensor : tensors) {
      const auto bytes = take<uint64_t>("the length of a name");
      MPIBERT_CHECK(bytes <= kMaxNameBytes, kCorrupt, where_, ": byte ", at_ - 8, ": a name of ", bytes, " bytes");
      require(bytes, "a name");
      tensor.name = file_.read_text(at_, bytes);
      at_ += bytes;
    }
    MPIBERT_CHECK(at_ == file_.size(), kCorrupt, where_, ": the names end at byte ", at_, ", but the file has ", file_.size());
    std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
    const auto twice =
        std::adjacent_find(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name == b.name; });
    MPIBERT_CHECK(twice == tensors.end(), kCorrupt, where_, ": two arrays are named \"", twice->name, "\"");
    return tensors;
  }

 private:
  void require(uint64_t bytes, const char* what) const {
    MPIBERT_CHECK(bytes <= file_.size() - at_, kCorrupt, where_, ": byte ", at_, ": ", what, " of ", bytes, " bytes reaches beyond the ",
                  file_.size(), " of the file; it is truncated");
  }

  template <class T>
  T take(const char* what) {
    require(sizeof(T), what);
    T value{};
    file_.read(at_, std::as_writable_bytes(std::span(&value, 1)));
    at_ += sizeof(T);
    return value;
  }

  uint64_t count(const char* what) {
    const auto found = take<uint64_t>(what);
    MPIBERT_CHECK(found <= kMaxArrays && found <= (file_.size() - at_) / 8, kCorrupt, where_, ": byte ", at_ - 8, ": ", found, " ", what,
                  " are more than the file could hold; it is truncated or damaged");
    return found;
  }

  TensorInfo array(const std::string& in) {
    const auto version = take<uint32_t>("a version");
    MPIBERT_CHECK(version == kVersion2 || version == kVersion3, kInvalidArgument, in, "of the format ", version,
                  ", expected that of MXNet 1.0 and later (", kVersion2, " or ", kVersion3,
                  "); load and save the parameters with a newer MXNet");
    MPIBERT_CHECK(take<int32_t>("a storage type") == 0, kInvalidArgument, in, "a sparse array; this program reads dense ones");
    const auto rank = take<int32_t>("a number of dimensions");
    MPIBERT_CHECK(rank >= 0, kCorrupt, in, rank, " dimensions");
    MPIBERT_CHECK(rank > 0 || version == kVersion3, kInvalidArgument, in, "empty: a parameter that was never initialised");
    MPIBERT_CHECK(rank <= 5, kInvalidArgument, in, "more than 5 dimensions; this program reads up to 5");
    std::vector<int64_t> dims(static_cast<size_t>(rank));
    for (int64_t& dim : dims) dim = take<int64_t>("a dimension");
    take<int64_t>("a device");
    const auto flag = take<int32_t>("a dtype");
    const auto known = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& dtype) { return dtype.first == flag; });
    MPIBERT_CHECK(known != kDtypes.end(), kInvalidArgument, in, "of the dtype ", flag,
                  " (mshadow/base.h); this program reads float32, bfloat16, float16, int64, int32 and uint8");
    TensorInfo tensor{.dtype = known->second, .shape = checked_shape(dims, known->second, in), .begin = at_};
    require(tensor.bytes(), "an array");
    at_ += tensor.bytes();
    return tensor;
  }

  const InputFile& file_;
  std::string where_;
  uint64_t at_ = 0;
};

}  // namespace

bool is_mxnet_file(const InputFile& file) {
  std::array<uint64_t, 2> head{};
  if (file.size() < sizeof(head)) return false;
  file.read(0, std::as_writable_bytes(std::span(head)));
  return head[0] == kMagic && head[1] == 0;
}

std::vector<TensorInfo> read_mxnet_header(const InputFile& file) { return MxnetReader(file).read(); }

}  // namespace mpibert
