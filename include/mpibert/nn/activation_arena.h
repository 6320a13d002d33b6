#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "mpibert/ops/backend.h"

namespace mpibert {

// Room for a tensor of up to so many rows, planned before the first step. Its memory comes with ActivationArena::allocate().
class PlannedTensor {
 public:
  // The first `rows` rows. Throws kInvalidArgument beyond the plan, naming it.
  Tensor rows(int64_t rows) const;
  // The same memory as [rows, columns], `skip` elements from its start.
  Tensor as(Shape shape, int64_t skip = 0) const;

 private:
  friend class ActivationArena;
  std::string name_;
  DType dtype_ = DType::kFloat32;
  Shape largest_;
  Tensor memory_;  // flat
};

// The memory of forward and backward, in one allocation. Layers reserve what they need for the largest batch when they are planned; a step
// then only makes views. `saved` lives from forward to backward; `scratch` is shared by all who ask under one name, and holds nothing
// between them.
class ActivationArena {
 public:
  ActivationArena() = default;
  ActivationArena(const ActivationArena&) = delete;
  ActivationArena& operator=(const ActivationArena&) = delete;

  // References stay valid as long as the arena. Throw kInvalidArgument after allocate().
  const PlannedTensor& saved(std::string_view name, DType dtype, Shape largest);
  const PlannedTensor& scratch(std::string_view name, DType dtype,
                               Shape largest);  // the largest of all askers; kInvalidArgument on another dtype

  int64_t planned_bytes() const;  // known before allocate()
  void allocate(Backend& backend);

 private:
  std::deque<PlannedTensor> saved_, scratch_;
  Buffer buffer_;
  bool allocated_ = false;
};

}  // namespace mpibert
