#include "ops/cuda/device/activation.cuh"
#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/device/partial_sums.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

// Null: products where c holds them already; bias, derivative_at and activated that the call leaves out.
template <class C, class Compute, Activation kind>
__global__ void finish_row(const float* products, float beta, C* c, const Compute* bias, const Compute* derivative_at, Compute* activated,
                           int64_t columns) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * columns;
  for (int64_t column = threadIdx.x * kOctet; column < columns; column += blockDim.x * kOctet) {
    const int size = octet_size(column, columns);
    const int64_t at = row + column;
    Octet x = products ? load_octet(products + at, size) : load_octet(c + at, size);
    if (products && beta != 0) {
      const Octet before = load_octet(c + at, size);
      for (int i = 0; i < kOctet; ++i) x[i] += beta * before[i];
    }
    if (bias) {
      const Octet b = load_octet(bias + column, size);
      for (int i = 0; i < kOctet; ++i) x[i] += b[i];
    }
    if (derivative_at) {
      const Octet z = load_octet(derivative_at + at, size);
      for (int i = 0; i < kOctet; ++i) x[i] *= derivative<kind>(z[i]);
    }
    if (products || bias || derivative_at) store_octet(c + at, x, size);
    if (activated) {
      for (int i = 0; i < kOctet; ++i) x[i] = activate<kind>(rounded<C>(x[i]));  // of c as it is stored: what backward will read
      store_octet(activated + at, x, size);
    }
  }
}

template <class C, class Compute>
void run(const Matmul& op, const float* products, const Context& context) {
  const int64_t rows = op.c.shape()[0], columns = op.c.shape()[1];
  with_activation(op.activation, [&](auto kind) {
    launch(row_a_block(rows, columns), context.stream, finish_row<C, Compute, decltype(kind)::value>, products, op.beta, data<C>(op.c),
           data<const Compute>(op.bias), data<const Compute>(op.derivative_at), data<Compute>(op.activated), columns);
  });
}

}  // namespace

void matmul_epilogue(const Matmul& op, const float* products, const Context& context) {
  if (!products && !op.bias && !op.derivative_at && !op.activated) return;
  with_element(op.a.dtype(), [&]<class T>(T) {
    if (op.c.dtype() == DType::kFloat32) {
      run<float, T>(op, products, context);
    } else {
      run<T, T>(op, products, context);
    }
  });
}

void add_row_sums(const float* sums, const Tensor& row_sums, const Context& context) {
  const int64_t rows = row_sums.shape()[0];
  add_partials(sums, 1, rows, rows, data<float>(row_sums), context.stream);
}

}  // namespace mpibert::cuda
