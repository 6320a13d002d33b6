#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Owns one allocation of a Backend; move-only. The Tensors made from it are views.
class Buffer {
 public:
  Buffer() = default;
  Buffer(void* data, size_t bytes, Device device, std::function<void(void*)> release);
  Tensor view(DType dtype, Shape shape, size_t offset_bytes = 0) const;  // throws kInvalidArgument beyond the end
  size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<void, std::function<void(void*)>> data_{nullptr, [](void*) {}};
  size_t bytes_ = 0;
  Device device_;
};

}  // namespace mpibert
