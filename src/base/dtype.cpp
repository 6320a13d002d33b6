#include "mpibert/base/dtype.h"

#include <array>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {
struct Row {
  size_t bytes;
  std::string_view name;
};
constexpr std::array<Row, 7> kRows = {{{4, "fp32"}, {2, "bf16"}, {2, "fp16"}, {8, "fp64"}, {4, "int32"}, {8, "int64"}, {1, "uint8"}}};
}  // namespace

size_t bytes_of(DType dtype) { return kRows.at(static_cast<size_t>(dtype)).bytes; }

std::string_view name_of(DType dtype) { return kRows.at(static_cast<size_t>(dtype)).name; }

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat16; }

DType precision_from_name(std::string_view name) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16})
    if (name == name_of(dtype)) return dtype;
  throw Error(ErrorKind::kUsage, str_cat("precision is fp32, bf16 or fp16, not '", name, "'"));
}

}  // namespace mpibert
