#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "interop/named_tensors.h"
#include "interop/safetensors_header.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/interop/safetensors.h"

namespace mpibert {

namespace {

// Place of a dtype in the order of the library, which writes the later ones first so that every tensor is aligned.
int library_order(DType dtype) {
  constexpr std::array kAscending = {DType::kUInt8, DType::kFloat16, DType::kBFloat16, DType::kInt32, DType::kFloat32, DType::kInt64};
  return static_cast<int>(std::find(kAscending.begin(), kAscending.end(), dtype) - kAscending.begin());
}

std::string header_text(const std::vector<NamedTensor>& sorted, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const NamedTensor& tensor : sorted) {
    auto shape = nlohmann::ordered_json::array();
    for (int i = 0; i < tensor.shape.rank(); ++i) shape.push_back(tensor.shape[i]);
    const uint64_t end = offset + tensor.bytes.size();
    // emplace_back and not operator[]: an ordered object looks names up one by one.
    header.get_ref<nlohmann::ordered_json::object_t&>().emplace_back(
        tensor.name, nlohmann::ordered_json{{"dtype", safetensors_dtype(tensor.dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}});
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kInvalidArgument, str_cat("metadata have to be UTF-8: ", error.what()));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  MPIBERT_CHECK(text.size() <= kSafetensorsMaxHeaderBytes, kInvalidArgument, "the header would have ", text.size(),
                " bytes, more than the ", kSafetensorsMaxHeaderBytes, " that the format allows");
  return text;
}

}  // namespace

void write_safetensors(const ByteSink& sink, std::vector<NamedTensor> tensors, const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    const int order_a = library_order(a.dtype), order_b = library_order(b.dtype);
    return order_a != order_b ? order_a > order_b : a.name < b.name;
  });
  check_named_tensors(tensors);
  const bool has_reserved =
      std::any_of(tensors.begin(), tensors.end(), [](const NamedTensor& tensor) { return tensor.name == "__metadata__"; });
  MPIBERT_CHECK(!has_reserved, kInvalidArgument, "a tensor cannot be named \"__metadata__\" in this format");
  const std::string header = header_text(tensors, metadata);
  const uint64_t header_bytes = header.size();
  sink(std::as_bytes(std::span(&header_bytes, 1)));
  sink(std::as_bytes(std::span(header)));
  for (const NamedTensor& tensor : tensors) {
    if (!tensor.bytes.empty()) sink(tensor.bytes);
  }
}

void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_safetensors([&](std::span<const std::byte> bytes) { file.write(bytes); }, std::move(tensors), metadata);
  file.commit();
}

}  // namespace mpibert
