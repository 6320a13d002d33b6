#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/base/dtype.h"
#include "mpibert/tensor/shape.h"

namespace mpibert {

// The safetensors format: 8 bytes N (unsigned, little endian), N bytes of JSON, then the numbers.
//   {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
// Offsets count from the end of the header. Numbers are little endian, row major.
// Source: github.com/huggingface/safetensors, README "Format".
//
// The reader takes no file on trust. It throws kCorrupt, naming the file, the tensor, what was expected and what was found, unless:
//   the header has at most 100,000,000 bytes, lies within the file, begins with '{', nests at most 3 deep and names nothing twice;
//   every tensor has a known dtype, a shape, and offsets that agree with both;
//   the tensors cover the rest of the file without overlap, gap or remainder.
// Numbers come by pread into buffers of the caller; nothing is mapped, so a file cut while being read is an error and not a signal.
constexpr size_t kSafetensorsMaxHeaderBytes = 100'000'000;

struct TensorInfo {
  std::string name{};
  DType dtype = DType::kFloat32;  // F32, BF16, F16, I64, I32 and U8 are read; others of the format throw kInvalidArgument
  Shape shape{};                    // more than 5 dimensions throw kInvalidArgument
  uint64_t begin = 0, end = 0;    // bytes from the start of the file
  size_t file = 0;                // which of files()
};

// One file, or the sharded set that `model.safetensors.index.json` names. Const functions are thread-safe.
class SafetensorsReader {
 public:
  // `path`: a file, an index, or a folder that holds model.safetensors or model.safetensors.index.json.
  // Throws kNotFound, kPermission, kIo, kCorrupt; kInvalidArgument for a folder that holds weights of another format only, with the remedy.
  explicit SafetensorsReader(const std::filesystem::path& path);
  ~SafetensorsReader();
  SafetensorsReader(SafetensorsReader&&) noexcept;
  SafetensorsReader& operator=(SafetensorsReader&&) noexcept;

  const std::vector<TensorInfo>& tensors() const;              // in order of names (bytes)
  const TensorInfo* find(std::string_view name) const;         // nullptr if it is not there
  const std::map<std::string, std::string>& metadata() const;  // "__metadata__" of the first file
  const std::vector<std::filesystem::path>& files() const;

  // `out` has exactly the bytes of the tensor, or kInvalidArgument.
  void read_bytes(const TensorInfo& tensor, std::span<std::byte> out) const;
  // F32 as it is, BF16 and F16 widened (exact). Throws kCorrupt for a tensor of integers.
  std::vector<float> read_floats(const TensorInfo& tensor) const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// A tensor that somebody else owns.
struct NamedTensor {
  std::string name{};
  DType dtype = DType::kFloat32;
  Shape shape{};
  std::span<const std::byte> bytes{};
};

using ByteSink = std::function<void(std::span<const std::byte>)>;

// The bytes depend on the tensors and the metadata only, not on their order in `tensors`, and are those of the safetensors library
// (0.4 and later): wider dtypes first, then by name; the header padded with spaces to a multiple of 8.
// Throws kInvalidArgument for a name that is empty, used twice, "__metadata__" or not UTF-8, and for bytes that disagree with the shape.
void write_safetensors(const ByteSink& sink, std::vector<NamedTensor> tensors, const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
// The same into a file that appears whole or not at all.
void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace mpibert
