#include <algorithm>

#include "base/crc32c.h"
#include "base/protobuf.h"
#include "interop/named_tensors.h"
#include "interop/sorted_table.h"
#include "interop/tensorflow_header.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/interop/tensorflow.h"

namespace mpibert {

namespace {

uint64_t tensorflow_dtype(const NamedTensor& tensor) {
  const auto known =
      std::find_if(kTensorflowDtypes.begin(), kTensorflowDtypes.end(), [&](const auto& dtype) { return dtype.second == tensor.dtype; });
  MPIBERT_CHECK(known != kTensorflowDtypes.end(), kInvalidArgument, "tensor \"", tensor.name, "\": a tensor of ", name_of(tensor.dtype),
                " is not written");
  return known->first;
}

// One shard, little endian; written by version 1 of the format for readers of any version.
std::string header() {
  std::string version, message;
  append_varint_field(version, 1, 1);
  append_varint_field(message, 1, 1);
  append_bytes_field(message, 3, version);
  return message;
}

// Fields that are 0 are left out, as protocol buffers do.
std::string entry(const NamedTensor& tensor, uint64_t offset) {
  std::string shape, message;
  for (int i = 0; i < tensor.shape.rank(); ++i) {
    std::string dim;
    if (tensor.shape[i] != 0) append_varint_field(dim, 1, static_cast<uint64_t>(tensor.shape[i]));
    append_bytes_field(shape, 2, dim);
  }
  append_varint_field(message, 1, tensorflow_dtype(tensor));
  append_bytes_field(message, 2, shape);
  if (offset != 0) append_varint_field(message, 4, offset);
  if (!tensor.bytes.empty()) append_varint_field(message, 5, tensor.bytes.size());
  append_fixed32_field(message, 6, masked_crc32c(crc32c(tensor.bytes)));
  return message;
}

}  // namespace

void write_tensorflow(const std::filesystem::path& prefix, std::vector<NamedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  check_named_tensors(tensors);
  std::vector<TableEntry> table = {{"", header()}};
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    table.emplace_back(tensor.name, entry(tensor, offset));
    offset += tensor.bytes.size();
  }
  AtomicFile data(tensorflow_shard(prefix.string(), 0, 1));
  for (const NamedTensor& tensor : tensors) data.write(tensor.bytes);
  data.commit();
  write_file_atomically(prefix.string() + ".index", sorted_table(table));
}

}  // namespace mpibert
