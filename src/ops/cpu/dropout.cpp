#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/masked_lanes.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

template <class T>
void run(const DropoutApply& op) {
  const int64_t hidden = op.input.shape()[1];
  const DropoutMask mask(op.dropout);
  parallel_rows(op.input.shape()[0], hidden, [&](int64_t row) {
    const T* input = data<T>(op.input) + row * hidden;
    T* output = data<T>(op.output) + row * hidden;
    for_masked_lanes(mask, row, hidden,
                     [&](int64_t i, int n, uint64_t bits) { store_n(output + i, keep(load_n(input + i, n) * mask.scale(), bits), n); });
  });
}

}  // namespace

void dropout(const DropoutApply& op) {
  with_element(op.input.dtype(), [&]<class T>(T) { run<T>(op); });
}

}  // namespace mpibert::cpu
