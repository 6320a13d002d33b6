#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "mpibert/interop/named_tensor.h"

namespace mpibert {

// The safetensors format: 8 bytes N (unsigned, little endian), N bytes of JSON, then the numbers.
//   {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
// Offsets count from the end of the header. Numbers are little endian, row major.
// Source: github.com/huggingface/safetensors, README "Format".
//
// WeightsReader takes no file on trust. It throws kCorrupt, naming the file, the tensor, what was expected and what was found, unless:
//   the header has at most 100,000,000 bytes, lies within the file, begins with '{', nests at most 3 deep and names nothing twice;
//   every tensor has a known dtype, a shape, and offsets that agree with both;
//   the tensors cover the rest of the file without overlap, gap or remainder.
constexpr size_t kSafetensorsMaxHeaderBytes = 100'000'000;

// The bytes depend on the tensors and the metadata only, not on their order in `tensors`, and are those of the safetensors library
// (0.4 and later): wider dtypes first, then by name; the header padded with spaces to a multiple of 8.
// Throws kInvalidArgument for a name that is empty, used twice, "__metadata__" or not UTF-8, and for bytes that disagree with the shape.
void write_safetensors(const ByteSink& sink, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
// The same into a file that appears whole or not at all.
void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace mpibert
