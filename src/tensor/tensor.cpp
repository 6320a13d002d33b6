#include "mpibert/tensor/tensor.h"

#include "mpibert/base/error.h"

namespace mpibert {

Shape::Shape(std::initializer_list<int64_t> dims) {
  MPIBERT_CHECK(dims.size() <= dims_.size(), kInvalidArgument, "a shape has at most 5 dimensions, not ", dims.size());
  for (const int64_t dim : dims) {
    MPIBERT_CHECK(dim >= 0, kInvalidArgument, "a shape has no negative dimension such as ", dim);
    dims_[static_cast<size_t>(rank_++)] = dim;
  }
}

int64_t Shape::operator[](int i) const {
  const int index = i < 0 ? rank_ + i : i;
  MPIBERT_CHECK(index >= 0 && index < rank_, kInvalidArgument, "dimension ", i, " of shape ", text());
  return dims_[static_cast<size_t>(index)];
}

int64_t Shape::size() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= dims_[static_cast<size_t>(i)];
  return product;
}

std::string Shape::text() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += str_cat(i ? ", " : "", dims_[static_cast<size_t>(i)]);
  return out + "]";
}

Shape Shape::with_rows(int64_t rows) const {
  MPIBERT_CHECK(rank_ > 0 && rows >= 0, kInvalidArgument, "cannot give shape ", text(), " ", rows, " rows");
  Shape other = *this;
  other.dims_[0] = rows;
  return other;
}

Tensor Tensor::reshape(Shape shape) const {
  MPIBERT_CHECK(shape.size() == shape_.size(), kInvalidArgument, "cannot reshape ", shape_.text(), " to ", shape.text());
  return Tensor(data_, dtype_, shape, device_);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  MPIBERT_CHECK(0 <= begin && begin <= end && end <= shape_[0], kInvalidArgument, "rows ", begin, " to ", end, " of a tensor of shape ",
                shape_.text());
  const int64_t row = shape_[0] ? shape_.size() / shape_[0] : 0;
  return Tensor(static_cast<std::byte*>(data_) + static_cast<size_t>(begin * row) * bytes_of(dtype_), dtype_, shape_.with_rows(end - begin),
                device_);
}

Tensor Tensor::elements(int64_t begin, int64_t end) const {
  MPIBERT_CHECK(0 <= begin && begin <= end && end <= shape_.size(), kInvalidArgument, "elements ", begin, " to ", end,
                " of a tensor of shape ", shape_.text());
  return Tensor(static_cast<std::byte*>(data_) + static_cast<size_t>(begin) * bytes_of(dtype_), dtype_, Shape{end - begin}, device_);
}

void Tensor::check_host(DType dtype) const {
  MPIBERT_CHECK(device_.type == DeviceType::kCpu, kInvalidArgument, "only a host tensor has a span; download this one first");
  MPIBERT_CHECK(!data_ || dtype == dtype_, kInvalidArgument, "a span of ", name_of(dtype), " of a tensor of ", name_of(dtype_));
}

}  // namespace mpibert
