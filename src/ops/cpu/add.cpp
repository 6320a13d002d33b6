#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {

void add(const Add& op) {
  const float *a = data<float>(op.a), *b = data<float>(op.b);
  float* c = data<float>(op.c);
  parallel_elements(op.c.size(), [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) c[i] = a[i] + b[i];
  });
}

}  // namespace mpibert::cpu
