#include "ops/cuda/device/activation.cuh"
#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

template <class T, Activation kind>
__global__ void times_derivative(const T* gradient, const T* input, T* d_input, int64_t n) {
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size < 1) return;
  Octet dx = load_octet(gradient + at, size);
  const Octet x = load_octet(input + at, size);
  for (int i = 0; i < kOctet; ++i) dx[i] *= derivative<kind>(x[i]);
  store_octet(d_input + at, dx, size);
}

}  // namespace

void activation_backward(const ActivationBackward& op, const Context& context) {
  const int64_t n = op.input.size();
  with_element(op.gradient.dtype(), [&]<class T>(T) {
    with_activation(op.activation, [&](auto kind) {
      launch(octet_a_thread(n), context.stream, times_derivative<T, decltype(kind)::value>, data<const T>(op.gradient),
             data<const T>(op.input), data<T>(op.d_input), n);
    });
  });
}

}  // namespace mpibert::cuda
