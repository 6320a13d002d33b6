#pragma once

#include <string>
#include <string_view>

#include "mpibert/base/error.h"
#include "mpibert/ops/backend.h"

namespace mpibert {

inline std::string text_of(Device device) { return device.type == DeviceType::kCpu ? "cpu" : str_cat("cuda:", device.index); }

inline std::string text_of(const Tensor& t) {
  return t ? str_cat(t.shape().text(), " ", name_of(t.dtype()), " on ", text_of(t.device())) : std::string("left out");
}

// The rules of one call. Every message names the operation and the operand, and says what was expected and what was found.
class Rules {
 public:
  Rules(std::string_view operation, Device device) : operation_(operation), device_(device) {}

  // The operand that the others are compared with: fp32, bf16 or, on a card, fp16, of `rank` dimensions (kAnyRank: any).
  static constexpr int kAnyRank = -1;
  void leads(std::string_view name, const Tensor& t, int rank) const {
    const bool on_cpu = device_.type == DeviceType::kCpu;
    const bool right = t && t.device() == device_ && is_float(t.dtype()) && !(on_cpu && t.dtype() == DType::kFloat16) &&
                       (rank == kAnyRank || t.shape().rank() == rank);
    MPIBERT_CHECK(right, kInvalidArgument, operation_, ": ", name, ": expected ", on_cpu ? "fp32 or bf16" : "fp32, bf16 or fp16",
                  dimensions(rank), " on ", text_of(device_), ", found ", text_of(t));
  }

  void has(std::string_view name, const Tensor& t, DType dtype, const Shape& shape) const {
    const bool right = t && t.device() == device_ && t.dtype() == dtype && t.shape() == shape;
    MPIBERT_CHECK(right, kInvalidArgument, operation_, ": ", name, ": expected ", shape.text(), " ", name_of(dtype), " on ",
                  text_of(device_), ", found ", text_of(t));
  }

  void may_have(std::string_view name, const Tensor& t, DType dtype, const Shape& shape) const {
    if (t) has(name, t, dtype, shape);
  }

  // An operand of one type whose number of rows is its own: [rows, ...rest of shape].
  void has_rows(std::string_view name, const Tensor& t, DType dtype, const Shape& shape) const {
    const bool ranked = t && t.shape().rank() == shape.rank();
    has(name, t, dtype, ranked ? shape.with_rows(t.shape()[0]) : shape);
  }

  template <class... Parts>
  void that(bool holds, const Parts&... parts) const {
    MPIBERT_CHECK(holds, kInvalidArgument, operation_, ": ", parts...);
  }

  void state(const Tensor& t) const { has("state", t, DType::kUInt8, {kStepStateBytes}); }

  void dropout(const Dropout& d, int64_t rows) const {
    that(d.rate >= 0 && d.rate < 1, "dropout.rate: expected 0 <= rate < 1, found ", d.rate);
    if (d.rate == 0) return;
    that(d.site < 0x80000000u, "dropout.site: expected less than 2^31, found ", d.site);
    has("dropout.state", d.state, DType::kUInt8, {kStepStateBytes});
    has("dropout.token_keys", d.token_keys, DType::kInt32, {rows});
  }

  void activation(Activation a) const {
    that(a <= Activation::kTanh, "activation: expected one of Activation, found ", static_cast<int>(a));
  }

  void epsilon(float e) const { that(e >= 0, "epsilon: expected 0 or more, found ", e); }

  // The member of StepState::loss_weights that a loss uses.
  void term(int t) const {
    constexpr int kTerms = static_cast<int>(std::tuple_size_v<decltype(StepState::loss_weights)>);
    that(t >= 0 && t < kTerms, "term: expected 0 to ", kTerms - 1, ", found ", t);
  }

  void rate(float r) const { that(r >= 0, "rate: expected 0 or more, found ", r); }

  void moments(double beta1, double beta2, float eps, float weight_decay) const {
    that(beta1 >= 0 && beta1 < 1, "beta1: expected 0 <= beta1 < 1, found ", beta1);
    that(beta2 >= 0 && beta2 < 1, "beta2: expected 0 <= beta2 < 1, found ", beta2);
    epsilon(eps);
    that(weight_decay >= 0, "weight_decay: expected 0 or more, found ", weight_decay);
  }

  // Ranges of one step are updated together.
  template <class Op>
  void of_one_step(const Op& op, const Op& first, bool alike) const {
    that(alike && op.state.data() == first.state.data(),
         "ranges: expected tensors, rate and weight decay to be all that differs between the ranges of a step");
  }

 private:
  static std::string dimensions(int rank) {
    return rank == kAnyRank ? "" : str_cat(" of ", rank, rank == 1 ? " dimension" : " dimensions");
  }

  std::string_view operation_;
  Device device_;
};

}  // namespace mpibert
