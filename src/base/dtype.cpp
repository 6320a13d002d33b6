#include "mpibert/base/dtype.h"

#include <array>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {
struct Row {
  size_t bytes;
  std::string_view name;
};
constexpr std::array<Row, 6> kRows = {{{4, "fp32"}, {2, "bf16"}, {2, "fp16"}, {4, "int32"}, {8, "int64"}, {1, "uint8"}}};
}  // namespace

size_t bytes_of(DType dtype) { return kRows.at(static_cast<size_t>(dtype)).bytes; }

std::string_view name_of(DType dtype) { return kRows.at(static_cast<size_t>(dtype)).name; }

DType precision_from_name(std::string_view name) {
  if (name == "fp32") return DType::kFloat32;
  if (name == "bf16") return DType::kBFloat16;
  throw Error(ErrorKind::kUsage, str_cat("precision is fp32 or bf16 on this device, not '", name, "'"));
}

}  // namespace mpibert
