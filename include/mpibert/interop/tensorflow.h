#pragma once

#include <filesystem>
#include <vector>

#include "mpibert/interop/named_tensor.h"

namespace mpibert {

// A TensorFlow checkpoint of version 2 (a "bundle"), as tf.train.Saver writes since TensorFlow 1.0 and tf.train.Checkpoint since 2.0: files
// of one PREFIX.
//   PREFIX.index                a sorted table (src/interop/sorted_table.h) of messages of protocol buffers:
//     ""     BundleHeaderProto  1 num_shards, 2 endianness (0: little), 3 version {1 producer, 2 min_consumer}
//     NAME   BundleEntryProto   1 dtype, 2 shape {2 dim {1 size}, 3 unknown_rank}, 3 shard_id, 4 offset, 5 size, 6 crc32c (masked), 7
//       slices
//   PREFIX.data-00000-of-00002  the numbers of a shard, little endian, row major
// Sources: tensorflow/core/protobuf/tensor_bundle.proto, framework/tensor_shape.proto, framework/types.proto,
// util/tensor_bundle/tensor_bundle.cc.
//
// WeightsReader takes PREFIX.index, PREFIX, or a folder with one checkpoint. It reads the data once for its checksums and throws kCorrupt,
// naming file and tensor, for whatever disagrees: a block or a tensor with another checksum, a shape of other bytes, a place outside its
// shard, tensors that overlap. kInvalidArgument: the table of version 1 (one file), big-endian numbers, variables saved in slices, a dtype
// or a shape that this program has no use for. Texts, such as the object graph that tf.train.Checkpoint adds, are tensors of uint8 whose
// checksum is not looked at.

// Writes PREFIX.index and PREFIX.data-00000-of-00001 as TensorFlow's reader takes them; the bytes depend on the tensors only, not on their
// order. The index appears last, and each file whole or not at all. Throws kInvalidArgument as write_safetensors does.
void write_tensorflow(const std::filesystem::path& prefix, std::vector<NamedTensor> tensors);

}  // namespace mpibert
