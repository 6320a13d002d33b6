#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// Numbers of tensorflow/core/framework/types.proto of the dtypes that this program reads and writes.
inline constexpr std::array<std::pair<uint64_t, DType>, 6> kTensorflowDtypes = {
    {{1, DType::kFloat32}, {3, DType::kInt32}, {4, DType::kUInt8}, {9, DType::kInt64}, {14, DType::kBFloat16}, {19, DType::kFloat16}}};

// PREFIX.data-00003-of-00008
std::string tensorflow_shard(const std::string& prefix, uint64_t shard, uint64_t shards);

// The index of a folder's checkpoint: bert_model.ckpt.index, else the only one, else the one that the text file `checkpoint` names. None:
// the folder has none. Throws kInvalidArgument when there are several and none is named.
std::optional<std::filesystem::path> find_tensorflow_index(const std::filesystem::path& folder);

// The tensors of an index in order of names, and its shards. TensorInfo::file is 1 for the first shard. Checks all that
// mpibert/interop/tensorflow.h names and throws as it says.
std::vector<TensorInfo> read_tensorflow_header(const InputFile& index, std::vector<InputFile>& shards);

}  // namespace mpibert
