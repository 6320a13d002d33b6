#pragma once

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// The storage classes of the dtypes that this program reads and writes.
inline constexpr std::array<std::pair<std::string_view, DType>, 6> kPytorchStorages = {{{"torch.FloatStorage", DType::kFloat32},
                                                                                        {"torch.BFloat16Storage", DType::kBFloat16},
                                                                                        {"torch.HalfStorage", DType::kFloat16},
                                                                                        {"torch.LongStorage", DType::kInt64},
                                                                                        {"torch.IntStorage", DType::kInt32},
                                                                                        {"torch.ByteStorage", DType::kUInt8}}};

// True if the file begins as torch.save's do: as a zip archive, or with the magic number of the old format.
bool is_pytorch_file(const InputFile& file);

// Its tensors in order of names; everything is checked that mpibert/interop/pytorch.h names, checksums too. Throws as it says there.
std::vector<TensorInfo> read_pytorch_header(const InputFile& file);

}  // namespace mpibert
