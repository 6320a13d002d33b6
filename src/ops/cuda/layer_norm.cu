#include "ops/cuda/kernels.h"
#include "ops/cuda/norm.h"

namespace mpibert::cuda {
namespace {

// residual and sum may be null; without a sum z is the input.
template <class T>
__global__ void forward_kernel(const T* input, const T* residual, const T* weight, const T* bias, float epsilon, int64_t rows,
                               int64_t hidden, DropoutArguments dropout, T* sum, T* output, float* mean, float* rstd) {
  const DropoutMask mask(dropout);
  const int64_t row = row_of_warp(), offset = row * hidden;
  if (row >= rows) return;
  if (sum != nullptr)
    for_octets(hidden, [&](int64_t begin, int n) {
      Octet x = load_octet(input + offset + begin, n);
      drop(mask, row, begin, x);
      if (residual != nullptr) {
        const Octet r = load_octet(residual + offset + begin, n);
        for (int i = 0; i < kOctet; ++i) x[i] += r[i];
      }
      store_octet(sum + offset + begin, x, n);
    });
  const T* const z = (sum != nullptr ? sum : input) + offset;
  const Moments m = moments(z, hidden, epsilon);
  for_octets(hidden, [&](int64_t begin, int n) { store_octet(output + offset + begin, norm_forward(z, m, weight, bias, begin, n), n); });
  if (lane_of_warp() == 0) {
    mean[row] = m.mean;
    rstd[row] = m.rstd;
  }
}

// d_residual may be null; it or d_input may be the gradient itself.
template <class T>
__global__ void backward_kernel(const T* gradient, const T* z, const float* mean, const float* rstd, const T* weight, int64_t rows,
                                int64_t hidden, DropoutArguments dropout, T* d_input, T* d_residual) {
  const DropoutMask mask(dropout);
  const int64_t row = row_of_warp(), offset = row * hidden;
  if (row >= rows) return;
  const auto load_gradient = [&](int64_t begin, int n) { return load_octet(gradient + offset + begin, n); };
  norm_backward(load_gradient, z + offset, {mean[row], rstd[row]}, weight, hidden, [&](int64_t begin, int n, Octet dz) {
    if (d_residual != nullptr) store_octet(d_residual + offset + begin, dz, n);
    drop(mask, row, begin, dz);
    store_octet(d_input + offset + begin, dz, n);
  });
}

}  // namespace

void layer_norm_forward(const LayerNormForward& op, const Context& context) {
  const int64_t rows = op.input.shape()[0], hidden = op.input.shape()[1];
  with_element(op.input.dtype(), [&]<class T>(T) {
    launch(norm_rows(rows), context.stream, forward_kernel<T>, data<T>(op.input), data<T>(op.residual), data<T>(op.weight),
           data<T>(op.bias), op.epsilon, rows, hidden, dropout_arguments(op.dropout), data<T>(op.sum), data<T>(op.output),
           data<float>(op.mean), data<float>(op.rstd));
  });
}

void layer_norm_backward(const LayerNormBackward& op, const Context& context) {
  const int64_t rows = op.gradient.shape()[0], hidden = op.gradient.shape()[1];
  with_element(op.gradient.dtype(), [&]<class T>(T) {
    norm_weight_gradients<T>(op, {}, context);
    launch(norm_rows(rows), context.stream, backward_kernel<T>, data<T>(op.gradient), data<T>(op.sum), data<float>(op.mean),
           data<float>(op.rstd), data<T>(op.weight), rows, hidden, dropout_arguments(op.dropout), data<T>(op.d_input),
           data<T>(op.d_residual));
  });
}

}  // namespace mpibert::cuda
