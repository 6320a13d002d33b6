#include "mpibert/nn/activation_arena.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr int64_t kAlignmentBytes = 256;

int64_t aligned_bytes(DType dtype, const Shape& shape) {
  const int64_t bytes = shape.size() * static_cast<int64_t>(bytes_of(dtype));
  return (bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
}

}  // namespace

Tensor PlannedTensor::rows(int64_t rows) const { return as(largest_.with_rows(rows)); }

Tensor PlannedTensor::as(Shape shape, int64_t skip) const {
  MPIBERT_CHECK(memory_, kInvalidArgument, "activation '", name_, "' is used before its arena is allocated");
  MPIBERT_CHECK(skip + shape.size() <= memory_.size(), kInvalidArgument, "activation '", name_, "' is planned for ", largest_.text(),
                ", not for ", shape.text());
  return memory_.elements(skip, skip + shape.size()).reshape(shape);
}

const PlannedTensor& ActivationArena::saved(std::string_view name, DType dtype, Shape largest) {
  MPIBERT_CHECK(!allocated_, kInvalidArgument, "activation '", name, "' is planned after the arena was allocated");
  PlannedTensor& t = saved_.emplace_back();
  t.name_ = name;
  t.dtype_ = dtype;
  t.largest_ = largest;
  return t;
}

const PlannedTensor& ActivationArena::scratch(std::string_view name, DType dtype, Shape largest) {
  MPIBERT_CHECK(!allocated_, kInvalidArgument, "activation '", name, "' is planned after the arena was allocated");
  for (PlannedTensor& t : scratch_) {
    if (t.name_ != name) continue;
    MPIBERT_CHECK(t.dtype_ == dtype, kInvalidArgument, "activation '", name, "' is planned as ", name_of(t.dtype_), " and as ",
                  name_of(dtype));
    if (largest.size() > t.largest_.size()) t.largest_ = largest;
    return t;
  }
  PlannedTensor& t = scratch_.emplace_back();
  t.name_ = name;
  t.dtype_ = dtype;
  t.largest_ = largest;
  return t;
}

int64_t ActivationArena::planned_bytes() const {
  int64_t bytes = 0;
  for (const std::deque<PlannedTensor>* list : {&saved_, &scratch_})
    for (const PlannedTensor& t : *list) bytes += aligned_bytes(t.dtype_, t.largest_);
  return bytes;
}

void ActivationArena::allocate(Backend& backend) {
  MPIBERT_CHECK(!allocated_, kInvalidArgument, "the activations are allocated already");
  allocated_ = true;
  buffer_ = backend.allocate(static_cast<size_t>(std::max<int64_t>(planned_bytes(), 1)));
  int64_t offset = 0;
  for (std::deque<PlannedTensor>* list : {&saved_, &scratch_})
    for (PlannedTensor& t : *list) {
      t.memory_ = buffer_.view(t.dtype_, {t.largest_.size()}, static_cast<size_t>(offset));
      offset += aligned_bytes(t.dtype_, t.largest_);
    }
}

}  // namespace mpibert
