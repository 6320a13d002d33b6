#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in order of names; offsets from the start of the file
  std::map<std::string, std::string> metadata;
};

// The JSON of a header whose data, `data_size` bytes, begin `data_begin` bytes into the file. All checks of the format that need no
// numbers are here, so this is what a fuzzer has to call. `file` stands in messages only. Throws as WeightsReader.
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_begin, uint64_t data_size, const std::string& file);
// The header of a file.
SafetensorsHeader read_safetensors_header(const InputFile& file);

// "F32" and so on.
std::string_view safetensors_dtype(DType dtype);

}  // namespace mpibert
