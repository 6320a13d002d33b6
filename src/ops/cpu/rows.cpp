// gather_rows and scatter_rows.

#include <cstring>

#include "mpibert/base/error.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"
#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

void check_indices(const char* operation, std::span<const int32_t> indices, int64_t rows) {
  for (size_t i = 0; i < indices.size(); ++i)
    MPIBERT_CHECK(indices[i] >= 0 && indices[i] < rows, kInvalidArgument, operation, ": indices[", i, "]: expected 0 to ", rows - 1,
                  ", found ", indices[i]);
}

template <class T>
void add_rows(const ScatterRows& op) {
  const int64_t hidden = op.input.shape()[1];
  const int32_t* indices = data<int32_t>(op.indices);
  parallel_rows(op.input.shape()[0], hidden, [&](int64_t row) {
    const T* from = data<T>(op.input) + row * hidden;
    T* to = data<T>(op.output) + indices[row] * hidden;
    for_lanes(hidden, [=](int64_t i, int n) { store_n(to + i, load_n(to + i, n) + load_n(from + i, n), n); });
  });
}

}  // namespace

void gather_rows(const GatherRows& op) {
  const auto indices = op.indices.span<int32_t>();
  check_indices("gather_rows", indices, op.input.shape()[0]);
  const int64_t hidden = op.input.shape()[1];
  const size_t row_bytes = static_cast<size_t>(hidden) * bytes_of(op.input.dtype());
  const auto* from = data<const std::byte>(op.input);
  auto* to = data<std::byte>(op.output);
  parallel_rows(op.output.shape()[0], hidden, [&](int64_t row) {
    const size_t i = static_cast<size_t>(row);
    std::memcpy(to + i * row_bytes, from + static_cast<size_t>(indices[i]) * row_bytes, row_bytes);
  });
}

void scatter_rows(const ScatterRows& op, Workspace& workspace) {
  const auto indices = op.indices.span<int32_t>();
  const int64_t rows = op.output.shape()[0];
  check_indices("scatter_rows", indices, rows);
  // Two threads on one row would race: equal indices are an error, not a sum.
  auto* seen = workspace.get<uint8_t>(rows);
  std::memset(seen, 0, static_cast<size_t>(rows));
  for (size_t i = 0; i < indices.size(); ++i) {
    MPIBERT_CHECK(!seen[indices[i]], kInvalidArgument, "scatter_rows: indices[", i, "]: expected all different, found ", indices[i],
                  " again");
    seen[indices[i]] = 1;
  }
  with_element(op.input.dtype(), [&]<class T>(T) { add_rows<T>(op); });
}

}  // namespace mpibert::cpu
