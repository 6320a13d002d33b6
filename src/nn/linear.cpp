#include "mpibert/nn/linear.h"

namespace mpibert {

Linear::Linear(ParameterArena& arena, const std::string& name, int64_t in, int64_t out)
    : weight_(arena.add(name + ".weight", {out, in}, Init::kNormal, true)), bias_(arena.add(name + ".bias", {out}, Init::kZero, false)) {}

void Linear::forward(Backend& backend, const Tensor& x, const Tensor& y) const {
  backend.matmul({.a = x, .b = weight_.value, .bias = bias_.value, .transpose_b = true, .c = y});
}

void Linear::forward(Backend& backend, const Tensor& x, const Tensor& y, Activation activation, const Tensor& activated) const {
  backend.matmul(
      {.a = x, .b = weight_.value, .bias = bias_.value, .transpose_b = true, .activation = activation, .c = y, .activated = activated});
}

void Linear::backward_parameters(Backend& backend, const Tensor& x, const Tensor& gradient) const {
  backend.matmul({.a = gradient, .b = x, .transpose_a = true, .beta = 1, .c = weight_.gradient, .row_sums = bias_.gradient});
}

void Linear::backward_input(Backend& backend, const Tensor& gradient, const Tensor& d_x, bool accumulate) const {
  backend.matmul({.a = gradient, .b = weight_.value, .beta = accumulate ? 1.0f : 0.0f, .c = d_x});
}

void Linear::backward_input(Backend& backend, const Tensor& gradient, Activation activation, const Tensor& before,
                            const Tensor& d_before) const {
  backend.matmul({.a = gradient, .b = weight_.value, .activation = activation, .derivative_at = before, .c = d_before});
}

}  // namespace mpibert
