#pragma once

#include <vector>

#include "base/input_file.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// A checkpoint of MindSpore (`.ckpt` of save_checkpoint): a message of protocol buffers without a header or a checksum.
//   Checkpoint   1 value (Value, one a parameter)
//   Value        1 tag (its name), 2 tensor {1 dims (int64 each), 2 tensor_type ("Float32"), 3 tensor_content (the numbers, little endian,
//                row major)}
// Source: mindspore/ccsrc/utils/checkpoint.proto, python/mindspore/train/serialization.py of MindSpore 2.
bool is_mindspore_file(const InputFile& file);

// Its tensors in order of names. Throws kCorrupt, naming file and tensor, for what does not obey the format or lies outside the file;
// kInvalidArgument for a parameter in parts (of more than 512 MB), an encrypted file's content, and a dtype or a shape that this program
// has no use for.
std::vector<TensorInfo> read_mindspore_header(const InputFile& file);

}  // namespace mpibert
