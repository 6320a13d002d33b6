#include <algorithm>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"
#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

// Four rows at a time, so that the partial sums are read and written a quarter as often.
template <class T>
void sum_rows(const T* input, int64_t rows, int64_t columns, float* sums) {
  std::fill_n(sums, columns, 0.0f);
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const T *a = input + row * columns, *b = a + columns, *c = b + columns, *d = c + columns;
    for_lanes(columns, [=](int64_t i, int n) {
      const Vec four = (load_n(a + i, n) + load_n(b + i, n)) + (load_n(c + i, n) + load_n(d + i, n));
      store_n(sums + i, load_n(sums + i, n) + four, n);
    });
  }
  for (; row < rows; ++row) {
    const T* a = input + row * columns;
    for_lanes(columns, [=](int64_t i, int n) { store_n(sums + i, load_n(sums + i, n) + load_n(a + i, n), n); });
  }
}

template <class T>
void run(const ColumnSum& op, Workspace& workspace) {
  const int64_t columns = op.input.shape()[1];
  const RowBlocks blocks(op.input.shape()[0]);
  float* partials = workspace.get<float>(blocks.count * columns);
  parallel_rows(blocks.count, blocks.block * columns, [&](int64_t i) {
    sum_rows(data<T>(op.input) + blocks.begin(i) * columns, blocks.end(i) - blocks.begin(i), columns, partials + i * columns);
  });
  add_partials(partials, blocks.count, columns, columns, data<float>(op.output));
}

}  // namespace

void column_sum(const ColumnSum& op, Workspace& workspace) {
  with_element(op.input.dtype(), [&]<class T>(T) { run<T>(op, workspace); });
}

}  // namespace mpibert::cpu
