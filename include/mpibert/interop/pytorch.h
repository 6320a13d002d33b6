#pragma once

#include <filesystem>
#include <vector>

#include "mpibert/interop/named_tensor.h"

namespace mpibert {

// A state dict (name -> tensor) as torch.save writes it: `pytorch_model.bin`.
//   since PyTorch 1.6: a zip archive, every entry stored as it is, of one folder P:
//     P/data.pkl    a pickle of protocol 2: a dict of calls torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...), where a
//                   storage is the persistent id ('storage', torch.FloatStorage, KEY, location, number of elements)
//     P/data/KEY    the numbers of a storage, little endian; several tensors may lie in one
//     P/byteorder   "little"    P/version   "3"
//   before: five pickles (a magic number, the version 1001, facts of the system, the state dict, the list of KEYs), then for each KEY the
//     number of
//     elements (int64) and the numbers.
// Sources: torch/serialization.py, torch/_utils.py, caffe2/serialize/inline_container.h of PyTorch; pickletools of Python; APPNOTE.TXT of
// PKWARE 4.3, 4.5.3.
//
// WeightsReader executes nothing of a pickle: it knows the opcodes and the names that state dicts consist of and refuses all others. It
// throws kCorrupt, with file and byte, unless:
//   the archive's entries lie within it, apart, uncompressed and named once, with the right CRC-32 (all 0: saved by
//     set_crc32_options(False), not checked);
//   the pickle has at most 16 MiB and 1,000,000 values, nests at most 64 deep and names no tensor twice;
//   every tensor lies within its storage, and storages have as many bytes as they say.
// kInvalidArgument: a file of another content (a whole training state, numbers that are no tensors), or a dtype or a shape that this
// program has no use for. Tensors that are not contiguous are read so that they are.

// The bytes depend on the tensors only, not on their order. torch.load(PATH, weights_only=True) reads them as a dict; every tensor has a
// storage of its own, which begins at a multiple of 64 bytes. Throws kInvalidArgument as write_safetensors does.
void write_pytorch(const ByteSink& sink, std::vector<NamedTensor> tensors);
// The same into a file that appears whole or not at all.
void write_pytorch(const std::filesystem::path& path, std::vector<NamedTensor> tensors);

}  // namespace mpibert
