#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

template <class From, class To>
__global__ void convert(const From* input, To* output, int64_t n) {
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size > 0) store_octet(output + at, load_octet(input + at, size), size);
}

template <class From, class To>
void run(const Cast& op, const Context& context) {
  const int64_t n = op.input.size();
  launch(octet_a_thread(n), context.stream, convert<From, To>, data<const From>(op.input), data<To>(op.output), n);
}

}  // namespace

void cast(const Cast& op, const Context& context) {
  if (op.input.dtype() == op.output.dtype()) {
    if (op.input.data() != op.output.data() && op.input.size() > 0)
      MPIBERT_CUDA_CHECK(cudaMemcpyAsync(op.output.data(), op.input.data(), op.input.bytes(), cudaMemcpyDeviceToDevice, context.stream));
  } else {
    with_element(op.input.dtype(),
                 [&]<class From>(From) { with_element(op.output.dtype(), [&]<class To>(To) { run<From, To>(op, context); }); });
  }
}

}  // namespace mpibert::cuda
