#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/base/dtype.h"
#include "mpibert/tensor/shape.h"

namespace mpibert {

// A tensor in a file. Numbers are little endian.
struct TensorInfo {
  std::string name{};
  DType dtype = DType::kFloat32;   // fp32, bf16, fp16, int64, int32 or uint8; files with others throw kInvalidArgument
  Shape shape{};                   // more than 5 dimensions throw kInvalidArgument
  uint64_t begin = 0;              // place of its first number, in bytes from the start of the file
  std::vector<int64_t> strides{};  // elements between neighbours, one a dimension, negative backwards; empty: row major without gaps
  size_t file = 0;                 // which of files()

  uint64_t bytes() const { return static_cast<uint64_t>(shape.size()) * bytes_of(dtype); }  // of its numbers, without gaps
};

// The file that holds a model folder's weights: model.safetensors, else model.safetensors.index.json, pytorch_model.bin,
// pytorch_model.bin.index.json, pretrained.params ("Dive into Deep Learning"), the index of a TensorFlow checkpoint
// (mpibert/interop/tensorflow.h), the only file *.ckpt (MindSpore). Throws kInvalidArgument for several TensorFlow checkpoints of which
// none is named.
std::optional<std::filesystem::path> find_weights(const std::filesystem::path& folder);

// Weights by name: a file of safetensors, PyTorch or TensorFlow (their headers say what is read of each and what is refused), of MXNet or
// MindSpore (src/interop/mxnet_header.h, mindspore_header.h), or the sharded set that an index names. What a file is, its first bytes say.
// Numbers come by pread into buffers of the caller; nothing is mapped, so a file cut while being read is an error and not a signal. Const
// functions are thread-safe.
class WeightsReader {
 public:
  // `path`: a file, an index (….json), or a folder with one of find_weights. A PyTorch file is read once here, for its checksums.
  // Throws kNotFound, kPermission, kIo, kCorrupt; kInvalidArgument for a folder that holds weights of another format only, with the remedy.
  explicit WeightsReader(const std::filesystem::path& path);
  ~WeightsReader();
  WeightsReader(WeightsReader&&) noexcept;
  WeightsReader& operator=(WeightsReader&&) noexcept;

  const std::vector<TensorInfo>& tensors() const;              // in order of names (bytes)
  const TensorInfo* find(std::string_view name) const;         // nullptr if it is not there
  const std::map<std::string, std::string>& metadata() const;  // "__metadata__" of the first file; of PyTorch's empty
  const std::vector<std::filesystem::path>& files() const;

  // `out` has exactly tensor.bytes(), or kInvalidArgument.
  void read_bytes(const TensorInfo& tensor, std::span<std::byte> out) const;
  // fp32 as it is, bf16 and fp16 widened (exact). Throws kCorrupt for a tensor of integers.
  std::vector<float> read_floats(const TensorInfo& tensor) const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
