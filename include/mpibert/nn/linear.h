#pragma once

#include <string>

#include "mpibert/nn/parameter_arena.h"

namespace mpibert {

// y = x W^T + b,  W [out, in] and b [out] as in PyTorch.   x [rows, in], y [rows, out] compute
class Linear {
 public:
  // Declares name + ".weight" and name + ".bias".
  Linear(ParameterArena& arena, const std::string& name, int64_t in, int64_t out);
  // Uses parameters declared elsewhere: a stack, or the word embeddings as a decoder.
  Linear(const Parameter& weight, const Parameter& bias) : weight_(weight), bias_(bias) {}

  void forward(Backend& backend, const Tensor& x, const Tensor& y) const;
  // Also activated = activation(y); y is what backward of the activation needs.
  void forward(Backend& backend, const Tensor& x, const Tensor& y, Activation activation, const Tensor& activated) const;

  // Adds gradient^T x to W's gradient and the column sums to b's.
  void backward_parameters(Backend& backend, const Tensor& x, const Tensor& gradient) const;
  // d_x = gradient W  (+ d_x if accumulate)
  void backward_input(Backend& backend, const Tensor& gradient, const Tensor& d_x, bool accumulate = false) const;
  // d_before = (gradient W) * activation'(before): through the activation that made x = activation(before), in one pass.
  void backward_input(Backend& backend, const Tensor& gradient, Activation activation, const Tensor& before, const Tensor& d_before) const;

  const Parameter& weight() const { return weight_; }

 private:
  const Parameter& weight_;
  const Parameter& bias_;
};

}  // namespace mpibert
