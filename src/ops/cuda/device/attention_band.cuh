#pragma once

// Products of attention with distance embeddings. Own row o of a block and row t of a tile (attention_tile.cuh) meet in one row of a third
// matrix, which lies o - t or t - o from a row that the block knows: all together kOwn + kWarp - 1 neighbouring rows of it, the band. It
// passes through shared memory kOwn rows at a time.

#include "ops/cuda/device/attention.cuh"
#include "ops/cuda/device/attention_tile.cuh"

namespace mpibert::cuda {
namespace {

// A matrix of which rows begin .. end - 1 are there. The others are zero or, if it is clipped, the nearest of these.
template <class T>
struct BandMatrix {
  const T* row_0;
  int64_t stride;
  int begin, end, columns;
  bool is_clipped = false;
};

// The distance embeddings [2P - 1, D].
template <class T>
__device__ inline BandMatrix<T> distances_of(const AttentionOperands<T>& x) {
  return {x.distance_row_0, x.head_size, 1 - x.positions, x.positions, x.head_size, x.distances_of_values};
}

// to[i] = row `first` + i of the matrix, kOwn rows. By all threads of the block.
template <class Shape, class T>
__device__ inline void load_band(const BandMatrix<T>& matrix, int first, typename Shape::Row* to) {
  load_tile<Shape>(matrix.row_0 + first * matrix.stride, matrix.stride, matrix.end - first, Shape::kOwn, matrix.columns, 1, to,
                   matrix.begin - first, matrix.is_clipped);
}

// Where lane `lane` meets the warp's row r in the band: row at(r).
struct BandPlace {
  int of_row_0, step;
  __device__ int at(int r) const { return of_row_0 + step * r; }
};
// The band begins where own row 0 meets the tile's last row: own rows count up, the tile's down.
__device__ inline BandPlace own_minus_tile(int own, int lane) { return {own + kWarp - 1 - lane, 1}; }
// The band begins where the last own row meets the tile's row 0.
template <class Shape>
__device__ inline BandPlace tile_minus_own(int own, int lane) {
  return {lane + Shape::kOwn - 1 - own, -1};
}

// Calls f(from) with rows from .. from + kOwn - 1 of the band, whose row 0 is row `first` of the matrix, in `rows`. By all threads of the
// block.
template <class Shape, class T, class F>
__device__ inline void for_band(const BandMatrix<T>& matrix, int first, typename Shape::Row* rows, const F& f) {
  for (int from = 0; from < Shape::kOwn + kWarp - 1; from += Shape::kOwn) {
    __syncthreads();  // the last rows have been read
    load_band<Shape>(matrix, first + from, rows);
    __syncthreads();
    f(from);
  }
}

// products[r] += f . the band's row at place.at(r), for all r; factor_of(r, k) is columns k .. k + 3 of f.
template <class Shape, class T, class F>
__device__ inline void add_band_scores(const BandMatrix<T>& matrix, int first, const BandPlace& place, typename Shape::Row* rows,
                                       const F& factor_of, float (&products)[Shape::kRows]) {
  for_band<Shape>(matrix, first, rows, [&](int from) {
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r) {
      const int row = place.at(r) - from;
      if (row < 0 || row >= Shape::kOwn) continue;
      for (int k = 0; k < Shape::kDepth; k += 4) {
        const Quad x = factor_of(r, k), y = load_quad(rows[row] + k);
        for (int i = 0; i < 4; ++i) products[r] += x.x[i] * y.x[i];
      }
    }
  });
}

// sums[r][c] += sum over the tile's rows j of weights[j][r] * column lane + kWarp * c of the band's row where they meet, which is
// place_of(j).at(r).
template <class Shape, class F>
__device__ inline void add_band_weighted(const typename Shape::Weights& weights, const typename Shape::Row* rows, int from,
                                         const F& place_of, float (&sums)[Shape::kRows][Shape::kColumns]) {
  const int lane = lane_of_warp();
  for (int j = 0; j < kWarp; ++j) {
    const BandPlace place = place_of(j);
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r) {
      const int row = place.at(r) - from;
      if (row < 0 || row >= Shape::kOwn) continue;
      for (int c = 0; c < Shape::kColumns; ++c) sums[r][c] += weights[j][r] * rows[row][lane + kWarp * c];
    }
  }
}

}  // namespace
}  // namespace mpibert::cuda
