#pragma once

#include <cstddef>
#include <span>

#include "mpibert/base/dtype.h"
#include "mpibert/tensor/device.h"
#include "mpibert/tensor/shape.h"

namespace mpibert {

// A contiguous, row-major view of numbers on one device. Copying a Tensor copies the view, never the numbers, and constness is that of
// the view. The Buffer it came from must outlive it.
class Tensor {
 public:
  Tensor() = default;
  Tensor(void* data, DType dtype, Shape shape, Device device = {}) : data_(data), dtype_(dtype), shape_(shape), device_(device) {}
  explicit operator bool() const { return data_ != nullptr; }  // false: an optional operand left out

  void* data() const { return data_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return data_ ? shape_.size() : 0; }  // elements
  size_t bytes() const { return static_cast<size_t>(size()) * bytes_of(dtype_); }

  Tensor reshape(Shape shape) const;                  // throws kInvalidArgument unless sizes agree
  Tensor rows(int64_t begin, int64_t end) const;      // slice of dimension 0; throws kInvalidArgument outside
  Tensor elements(int64_t begin, int64_t end) const;  // slice of the flat order, rank 1; throws kInvalidArgument outside

  // The numbers themselves, on the host only. Throws kInvalidArgument on another element type or device.
  template <class T>
  std::span<T> span() const {
    check_host(DTypeOf<T>::value);
    return {static_cast<T*>(data_), static_cast<size_t>(size())};
  }

 private:
  void check_host(DType dtype) const;

  void* data_ = nullptr;
  DType dtype_ = DType::kFloat32;
  Shape shape_;
  Device device_;
};

// A view of host numbers that somebody else owns.
template <class T>
Tensor host_tensor(std::span<T> numbers, Shape shape) {
  return Tensor(numbers.data(), DTypeOf<T>::value, shape);
}

}  // namespace mpibert
