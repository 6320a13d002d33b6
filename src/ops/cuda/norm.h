#pragma once

// What layer_norm.cu and embedding.cu start alike.

#include "ops/cuda/device/norm.cuh"
#include "ops/cuda/device/partial_sums.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

// One warp a row.
inline LaunchShape norm_rows(int64_t rows) {
  return {.grid = dim3(static_cast<unsigned>((rows + kRowsOfBlock - 1) / kRowsOfBlock)), .block = dim3(kRowsOfBlock * kWarp)};
}

// d_weight and d_bias of a norm whose output's gradient is dropout(op.gradient). Reads the gradient: what overwrites it comes after.
template <class T, class Op>
void norm_weight_gradients(const Op& op, const DropoutArguments& dropout, const Context& context) {
  const int64_t rows = op.gradient.shape()[0], hidden = op.gradient.shape()[1];
  const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows, strips = (hidden + kStripColumns - 1) / kStripColumns;
  float* const partials = context.workspace.get<float>(chunks * 2 * hidden);
  launch({.grid = dim3(static_cast<unsigned>(chunks), static_cast<unsigned>(strips)), .block = dim3(kWarp, kChunkLanes)}, context.stream,
         norm_partials_kernel<T>, data<T>(op.gradient), data<T>(op.sum), data<float>(op.mean), data<float>(op.rstd), rows, hidden, dropout,
         partials);
  add_partials(partials, chunks, 2 * hidden, hidden, data<float>(op.d_weight), context.stream);
  add_partials(partials + hidden, chunks, 2 * hidden, hidden, data<float>(op.d_bias), context.stream);
}

}  // namespace
}  // namespace mpibert::cuda
