#pragma once

#include <vector>

#include "base/input_file.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// A list of arrays of MXNet, as Gluon's save_parameters writes it (`pretrained.params` of "Dive into Deep Learning"); little endian.
//   file     uint64 0x112, uint64 0, uint64 N, N arrays, uint64 N, N names (uint64 bytes, text)
//   array    uint32 0xf993fac9 (version 2) or 0xf993faca (3, shapes as NumPy has them), int32 storage (0: dense), int32 dimensions, int64
//            each, int32 device, int32 its number, int32 dtype, the numbers, row major
// Source: src/ndarray/ndarray.cc (NDArray::Save), include/mxnet/tuple.h, 3rdparty/mshadow/mshadow/base.h of MXNet 1.7.
bool is_mxnet_file(const InputFile& file);

// Its tensors in order of names. Throws kCorrupt, naming file and byte, for what does not obey the format, lies outside the file or leaves
// a rest of it; kInvalidArgument for a sparse or empty array, the first version of the format, and a dtype or a shape that this program has
// no use for.
std::vector<TensorInfo> read_mxnet_header(const InputFile& file);

}  // namespace mpibert
