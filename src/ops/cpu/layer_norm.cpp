#include <algorithm>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/masked_lanes.h"
#include "ops/cpu/norm.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

template <class T>
void forward(const LayerNormForward& op) {
  const int64_t hidden = op.input.shape()[1];
  const DropoutMask mask(op.dropout);
  const T *weight = data<T>(op.weight), *bias = data<T>(op.bias);
  float *mean = data<float>(op.mean), *rstd = data<float>(op.rstd);
  parallel_rows(op.input.shape()[0], hidden, [&](int64_t row) {
    const T *x = data<T>(op.input) + row * hidden, *z = x;
    if (op.sum) {
      const T* residual = op.residual ? data<T>(op.residual) + row * hidden : nullptr;
      T* sum = data<T>(op.sum) + row * hidden;
      for_masked_lanes(mask, row, hidden, [&](int64_t i, int n, uint64_t bits) {
        const Vec kept = keep(load_n(x + i, n) * mask.scale(), bits);
        store_n(sum + i, residual ? kept + load_n(residual + i, n) : kept, n);
      });
      z = sum;
    }
    const Moments m = moments(z, hidden, op.epsilon);
    mean[row] = m.mean;
    rstd[row] = m.rstd;
    T* output = data<T>(op.output) + row * hidden;
    for_lanes(hidden,
              [&](int64_t i, int n) { store_n(output + i, normalized(z + i, m, n) * load_n(weight + i, n) + load_n(bias + i, n), n); });
  });
}

template <class T>
void backward_row(const LayerNormBackward& op, const DropoutMask& mask, int64_t row, float* d_weight, float* d_bias) {
  const int64_t hidden = op.gradient.shape()[1], offset = row * hidden;
  T* d_input = data<T>(op.d_input) + offset;
  T* d_residual = op.d_residual ? data<T>(op.d_residual) + offset : nullptr;
  const uint32_t key = mask.active() ? mask.token_key(row) : 0;
  uint64_t bits = ~uint64_t{0};
  norm_backward_row(data<T>(op.gradient) + offset, data<T>(op.sum) + offset, {data<float>(op.mean)[row], data<float>(op.rstd)[row]},
                    data<T>(op.weight), hidden, d_weight, d_bias, [&](int64_t i, int n, Vec dz) {
                      if (mask.active()) bits = i % 64 ? bits >> kLanes : mask.keep_bits(key, i);
                      if (d_residual) store_n(d_residual + i, dz, n);
                      store_n(d_input + i, keep(dz * mask.scale(), bits), n);
                    });
}

template <class T>
void backward(const LayerNormBackward& op, Workspace& workspace) {
  const int64_t hidden = op.gradient.shape()[1], stride = padded(hidden);
  const RowBlocks blocks(op.gradient.shape()[0]);
  const DropoutMask mask(op.dropout);
  float* partials = workspace.get<float>(blocks.count * 2 * stride);  // of each block: d_weight, d_bias
  parallel_rows(blocks.count, blocks.block * hidden, [&](int64_t block) {
    float *d_weight = partials + block * 2 * stride, *d_bias = d_weight + stride;
    std::fill_n(d_weight, 2 * stride, 0.0f);
    for (int64_t row = blocks.begin(block); row < blocks.end(block); ++row) backward_row<T>(op, mask, row, d_weight, d_bias);
  });
  add_partials(partials, blocks.count, hidden, 2 * stride, data<float>(op.d_weight));
  add_partials(partials + stride, blocks.count, hidden, 2 * stride, data<float>(op.d_bias));
}

}  // namespace

void layer_norm_forward(const LayerNormForward& op) {
  with_element(op.input.dtype(), [&]<class T>(T) { forward<T>(op); });
}

void layer_norm_backward(const LayerNormBackward& op, Workspace& workspace) {
  with_element(op.gradient.dtype(), [&]<class T>(T) { backward<T>(op, workspace); });
}

}  // namespace mpibert::cpu
