#include "ops/cpu/activation.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

template <class T, Activation kind>
void run(const ActivationBackward& op) {
  const T *gradient = data<T>(op.gradient), *input = data<T>(op.input);
  T* d_input = data<T>(op.d_input);
  parallel_elements(op.input.size(), [=](int64_t begin, int64_t end) {
    for_lanes(end - begin, [=](int64_t i, int n) {
      const int64_t at = begin + i;
      store_n(d_input + at, load_n(gradient + at, n) * derivative<kind>(load_n(input + at, n)), n);
    });
  });
}

}  // namespace

void activation_backward(const ActivationBackward& op) {
  with_element(op.gradient.dtype(),
               [&]<class T>(T) { with_activation(op.activation, [&](auto kind) { run<T, decltype(kind)::value>(op); }); });
}

}  // namespace mpibert::cpu
