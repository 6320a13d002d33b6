#include "mpibert/tensor/buffer.h"

#include <utility>

#include "mpibert/base/error.h"

namespace mpibert {

Buffer::Buffer(void* data, size_t bytes, Device device, std::function<void(void*)> release)
    : data_(data, std::move(release)), bytes_(bytes), device_(device) {}

Tensor Buffer::view(DType dtype, Shape shape, size_t offset_bytes) const {
  const size_t end = offset_bytes + static_cast<size_t>(shape.size()) * bytes_of(dtype);
  MPIBERT_CHECK(end <= bytes_, kInvalidArgument, "a view up to byte ", end, " of a buffer of ", bytes_);
  return Tensor(static_cast<std::byte*>(data_.get()) + offset_bytes, dtype, shape, device_);
}

}  // namespace mpibert
