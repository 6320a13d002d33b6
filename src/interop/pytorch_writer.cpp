#include "mpibert/interop/pytorch.h"

#include <algorithm>

#include "interop/named_tensors.h"
#include "interop/pytorch_header.h"
#include "interop/zip.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert {

namespace {

// Opcodes as src/interop/pickle.cpp reads them.
class PickleWriter {
 public:
  PickleWriter& op(std::string_view code) {
    bytes_ += code;
    return *this;
  }
  PickleWriter& name(std::string_view module, std::string_view member) { return op("c").op(module).op("\n").op(member).op("\n"); }
  PickleWriter& text(std::string_view text) { return op("X").number(static_cast<uint32_t>(text.size())).op(text); }
  PickleWriter& integer(int64_t value) {
    if (value <= 0xff) return op("K").number(static_cast<uint8_t>(value));
    if (value <= 0x7fffffff) return op("J").number(static_cast<int32_t>(value));
    return op("\x8a\x08").number(value);
  }
  PickleWriter& tuple(const std::vector<int64_t>& values) {
    op("(");
    for (const int64_t value : values) integer(value);
    return op("t");
  }
  const std::string& bytes() const { return bytes_; }

 private:
  template <class T>
  PickleWriter& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  std::string bytes_;
};

std::string_view storage_class(DType dtype) {
  const auto known =
      std::find_if(kPytorchStorages.begin(), kPytorchStorages.end(), [&](const auto& storage) { return storage.second == dtype; });
  MPIBERT_CHECK(known != kPytorchStorages.end(), kInvalidArgument, "a tensor of ", name_of(dtype), ", which is not written");
  return known->first.substr(std::string_view("torch.").size());
}

// _rebuild_tensor_v2(storage, 0, size, stride, requires_grad = False, backward_hooks = OrderedDict())
void write_tensor(PickleWriter& pickle, const NamedTensor& tensor, size_t key) {
  std::vector<int64_t> dims, strides;
  int64_t stride = 1;
  for (int i = tensor.shape.rank() - 1; i >= 0; --i) {
    dims.insert(dims.begin(), tensor.shape[i]);
    strides.insert(strides.begin(), stride);
    stride *= std::max<int64_t>(tensor.shape[i], 1);
  }
  pickle.name("torch._utils", "_rebuild_tensor_v2").op("(");
  pickle.op("(")
      .text("storage")
      .name("torch", storage_class(tensor.dtype))
      .text(std::to_string(key))
      .text("cpu")
      .integer(tensor.shape.size())
      .op("tQ");
  pickle.integer(0).tuple(dims).tuple(strides).op("\x89").name("collections", "OrderedDict").op(")R").op("tR");
}

}  // namespace

void write_pytorch(const ByteSink& sink, std::vector<NamedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  check_named_tensors(tensors);
  PickleWriter pickle;
  pickle.op("\x80\x02").op("}(");
  for (size_t i = 0; i < tensors.size(); ++i) {
    pickle.text(tensors[i].name);
    write_tensor(pickle, tensors[i], i);
  }
  pickle.op("u.");
  ZipWriter zip(sink);
  zip.add("archive/data.pkl", pickle.bytes());
  zip.add("archive/byteorder", "little");
  for (size_t i = 0; i < tensors.size(); ++i) zip.add(str_cat("archive/data/", i), tensors[i].bytes);
  zip.add("archive/version", "3\n");
  zip.finish();
}

void write_pytorch(const std::filesystem::path& path, std::vector<NamedTensor> tensors) {
  AtomicFile file(path);
  write_pytorch([&](std::span<const std::byte> bytes) { file.write(bytes); }, std::move(tensors));
  file.commit();
}

}  // namespace mpibert
