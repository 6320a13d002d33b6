#include "interop/tensor_shape.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

Shape checked_shape(std::span<const int64_t> dims, DType dtype, const std::string& place) {
  MPIBERT_CHECK(dims.size() <= 5, kInvalidArgument, place, "more than 5 dimensions; this program reads up to 5");
  auto bytes = static_cast<int64_t>(bytes_of(dtype));
  bool overflow = false;
  for (const int64_t dim : dims) {
    MPIBERT_CHECK(dim >= 0, kCorrupt, place, "a dimension of ", dim);
    overflow |= __builtin_mul_overflow(bytes, std::max<int64_t>(dim, 1), &bytes);
  }
  MPIBERT_CHECK(!overflow, kCorrupt, place, "shape is too large for any file");
  switch (dims.size()) {
    case 0:
      return {};
    case 1:
      return {dims[0]};
    case 2:
      return {dims[0], dims[1]};
    case 3:
      return {dims[0], dims[1], dims[2]};
    case 4:
      return {dims[0], dims[1], dims[2], dims[3]};
    default:
      return {dims[0], dims[1], dims[2], dims[3], dims[4]};
  }
}

}  // namespace mpibert
