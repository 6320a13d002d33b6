#pragma once

// The products of attention in fp32, from shared memory. A block has some rows of one side (queries, or keys) of its own, kRows for each
// warp, and passes over the other side a tile of kWarp rows at a time. Score products give lane j the warp's rows times row j of the tile;
// what comes of them (weights) is then multiplied with a tile, and lane i gets columns i, i + 32, ... of the result.

#include <algorithm>

#include "mpibert/base/error.h"
#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"

namespace mpibert::cuda {
namespace {

inline constexpr int kAttentionWarps = 4;

__device__ inline int lane_of_warp() { return static_cast<int>(threadIdx.x) % kWarp; }

// For D up to kWarp * columns. A row of shared memory is four numbers longer than its columns, so that the lanes' rows start in other
// banks.
template <int columns>
struct TileShape {
  static constexpr int kColumns = columns;  // of a lane
  static constexpr int kDepth = kWarp * columns;
  static constexpr int kStride = kDepth + 4;
  static constexpr int kRows = columns <= 2 ? 8 : 4;  // of a warp; half where rows are long, to stay within 48 KiB
  static constexpr int kOwn = kAttentionWarps * kRows;
  using Row = float[kStride];
  using Weights = float[kWarp][kRows];
};

struct alignas(16) Quad {
  float x[4];
};
__device__ inline Quad load_quad(const float* p) { return *reinterpret_cast<const Quad*>(p); }
__device__ inline Quad sum_of(Quad x, float factor, Quad y) {
  for (int i = 0; i < 4; ++i) x.x[i] += factor * y.x[i];
  return x;
}

// to[i] = scale * from[i], rows begin <= i < rows of `columns` numbers; around them, up to row `capacity`, zeros or, with `clip`, the
// nearest of them. By all threads of the block.
template <class Shape, class T>
__device__ inline void load_tile(const T* from, int64_t stride, int rows, int capacity, int columns, float scale, typename Shape::Row* to,
                                 int begin = 0, bool clip = false) {
  constexpr int kOctets = Shape::kDepth / kOctet;
  for (int i = static_cast<int>(threadIdx.x); i < capacity * kOctets; i += kAttentionWarps * kWarp) {
    const int row = i / kOctets, column = i % kOctets * kOctet;
    const int source = clip ? std::max(begin, std::min(row, rows - 1)) : row;
    const bool is_there = begin <= source && source < rows;
    const Octet x = load_octet(from + source * stride + column, is_there ? octet_size(column, columns) : 0);
    for (int half = 0; half < kOctet; half += 4) {
      Quad quad;
      for (int j = 0; j < 4; ++j) quad.x[j] = scale * x[half + j];
      *reinterpret_cast<Quad*>(&to[row][column + half]) = quad;
    }
  }
}

// products[r] = own[r] . tile[lane]
template <class Shape>
__device__ inline void multiply_scores(const typename Shape::Row* own, const typename Shape::Row* tile, float (&products)[Shape::kRows]) {
  const float* const mine = tile[lane_of_warp()];
  for (int r = 0; r < Shape::kRows; ++r) products[r] = 0;
  for (int k = 0; k < Shape::kDepth; k += 4) {
    const Quad y = load_quad(mine + k);
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r) {
      const Quad x = load_quad(own[r] + k);
      for (int i = 0; i < 4; ++i) products[r] += x.x[i] * y.x[i];
    }
  }
}

// sums[r][c] += sum over the tile's rows j of weights[j][r] * tile[j][lane + kWarp * c]
template <class Shape>
__device__ inline void add_weighted(const typename Shape::Weights& weights, const typename Shape::Row* tile, int rows,
                                    float (&sums)[Shape::kRows][Shape::kColumns]) {
  const int lane = lane_of_warp();
  for (int j = 0; j < rows; ++j) {
    float y[Shape::kColumns];
#pragma unroll
    for (int c = 0; c < Shape::kColumns; ++c) y[c] = tile[j][lane + kWarp * c];
#pragma unroll
    for (int r = 0; r < Shape::kRows; r += 4) {
      const Quad w = load_quad(&weights[j][r]);
      for (int i = 0; i < 4; ++i)
        for (int c = 0; c < Shape::kColumns; ++c) sums[r + i][c] += w.x[i] * y[c];
    }
  }
}

// Hands the lane's weights to the warp: row `lane` of the matrix that add_weighted reads. No lane may still be reading the last ones.
template <class Shape>
__device__ inline void share_weights(const float (&mine)[Shape::kRows], typename Shape::Weights& weights) {
  __syncwarp();
#pragma unroll
  for (int r = 0; r < Shape::kRows; ++r) weights[lane_of_warp()][r] = mine[r];
  __syncwarp();
}

// Row `to` of `columns` numbers gets factor * sums, spread over the lanes.
template <class Shape, class T>
__device__ inline void store_row(const float (&sums)[Shape::kColumns], float factor, int columns, T* to) {
  const int lane = lane_of_warp();
#pragma unroll
  for (int c = 0; c < Shape::kColumns; ++c)
    if (lane + kWarp * c < columns) store(to + lane + kWarp * c, factor * sums[c]);
}

// Calls f(T{}, TileShape<..>{}) for the type and head size of qkv [T, 3, A, D].
template <class F>
void with_shape(const Tensor& qkv, const F& f) {
  const int64_t head_size = qkv.shape()[3];
  MPIBERT_CHECK(head_size <= 4 * kWarp, kInvalidArgument, "attention: expected a head size of at most ", 4 * kWarp, " on CUDA, found ",
                head_size);
  with_element(qkv.dtype(), [&]<class T>(T type) {
    if (head_size <= kWarp) {
      f(type, TileShape<1>{});
    } else if (head_size <= 2 * kWarp) {
      f(type, TileShape<2>{});
    } else {
      f(type, TileShape<4>{});
    }
  });
}

}  // namespace
}  // namespace mpibert::cuda
