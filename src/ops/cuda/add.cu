#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/element.h"

namespace mpibert::cuda {
namespace {

__global__ void sum_of(const float* a, const float* b, float* c, int64_t n) {
  const int64_t at = my_octet();
  const int size = octet_size(at, n);
  if (size < 1) return;
  Octet sum = load_octet(a + at, size);
  const Octet y = load_octet(b + at, size);
  for (int i = 0; i < kOctet; ++i) sum[i] += y[i];
  store_octet(c + at, sum, size);
}

}  // namespace

void add(const Add& op, const Context& context) {
  const int64_t n = op.c.size();
  launch(octet_a_thread(n), context.stream, sum_of, data<const float>(op.a), data<const float>(op.b), data<float>(op.c), n);
}

}  // namespace mpibert::cuda
