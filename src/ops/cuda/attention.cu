// Attention of packed sequences, tile by tile, without a matrix of scores in memory: in fp32, with distance embeddings, and of 16-bit heads
// that tensor cores do not take (attention_mma.h). Source: Dao, Fu, Ermon, Rudra, Re 2022, arXiv:2205.14135; the maximum and sum of a row
// online as in Milakov, Gimelshein 2018, arXiv:1805.02867.

#include <algorithm>
#include <cmath>

#include "ops/cuda/attention_distance.h"
#include "ops/cuda/attention_mma.h"
#include "ops/cuda/device/attention.cuh"
#include "ops/cuda/device/attention_band.cuh"
#include "ops/cuda/kernels.h"

namespace mpibert::cuda {
namespace {

// Bit r: is key `begin` + lane kept for the query of row `own` + r? A lane draws eight keys of one query, and the lanes exchange what they
// drew.
template <int kRows>
__device__ inline uint32_t kept_keys(const DropoutMask& mask, const Piece& piece, int own, int begin) {
  if (!mask.active()) return kAllLanes;
  const int lane = lane_of_warp();
  const uint32_t octet = blockIdx.y * kOctetsOfHead + static_cast<uint32_t>(begin) / 8 + lane % 4;
  const uint32_t drawn = mask.keep_bits(mask.token_key(piece.token(own + lane / 4 % kRows)), octet);
  uint32_t kept = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) kept |= ((__shfl_sync(kAllLanes, drawn, 4 * r + lane / 8) >> (lane % 8)) & 1u) << r;
  return kept;
}

// What the embedding of the distance of a query and a key is multiplied with: the scaled query and, with distances_of_keys, the scaled key;
// columns k .. k + 3.
template <class T>
__device__ inline Quad distance_factor(const AttentionOperands<T>& x, const float* query, const float* key, int k) {
  const Quad factor = load_quad(query + k);
  return x.distances_of_keys ? sum_of(factor, x.scale, load_quad(key + k)) : factor;
}

// A block has queries. log_sums: of each query and head, the logarithm of the sum of e^score.
template <class T, class Shape, bool has_distances>
__global__ void forward_kernel(AttentionOperands<T> x, unsigned pieces, T* context, float* log_sums) {
  constexpr int kRows = Shape::kRows, kColumns = Shape::kColumns;
  __shared__ __align__(16) float queries[Shape::kOwn][Shape::kStride], tile[kWarp][Shape::kStride], weights[kAttentionWarps][kWarp][kRows];
  __shared__ __align__(16) float band[has_distances ? Shape::kOwn : 1][Shape::kStride];
  const Piece piece(x, pieces, Shape::kOwn);
  if (piece.empty()) return;
  const DropoutMask mask(x.dropout);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = lane_of_warp(), own = warp * kRows;
  load_tile<Shape>(x.qkv + x.offset(piece.token(0), 0), x.stride(), piece.rows(), Shape::kOwn, x.head_size, x.scale, queries);

  float largest[kRows], total[kRows], sums[kRows][kColumns] = {};
  for (int r = 0; r < kRows; ++r) largest[r] = -INFINITY, total[r] = 0;
  for (int begin = 0; begin < piece.length; begin += kWarp) {
    const int keys = min(kWarp, piece.length - begin);
    __syncthreads();  // the last tile has been read
    load_tile<Shape>(x.qkv + x.offset(piece.begin + begin, 1), x.stride(), keys, kWarp, x.head_size, 1, tile);
    __syncthreads();
    float scores[kRows];
    multiply_scores<Shape>(queries + own, tile, scores);
    const int first_distance = piece.first - begin - (kWarp - 1);
    if constexpr (has_distances)
      add_band_scores<Shape>(
          distances_of(x), first_distance, own_minus_tile(own, lane), band,
          [&](int r, int k) { return distance_factor(x, queries[own + r], tile[lane], k); }, scores);
    const uint32_t kept = kept_keys<kRows>(mask, piece, own, begin);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float score = lane < keys ? scores[r] : -INFINITY;
      const float previous = largest[r];
      largest[r] = Max::combine(previous, warp_reduce<Max>(score));
      const float correction = expf(previous - largest[r]), e = expf(score - largest[r]);
      total[r] = total[r] * correction + warp_reduce<Sum>(e);
      for (int c = 0; c < kColumns; ++c) sums[r][c] *= correction;
      scores[r] = (kept >> r) & 1u ? e : 0.0f;
    }
    share_weights<Shape>(scores, weights[warp]);
    __syncthreads();
    load_tile<Shape>(x.qkv + x.offset(piece.begin + begin, 2), x.stride(), keys, kWarp, x.head_size, 1, tile);
    __syncthreads();
    add_weighted<Shape>(weights[warp], tile, keys, sums);
    if constexpr (has_distances) {
      if (!x.distances_of_values) continue;
      for_band<Shape>(distances_of(x), first_distance, band, [&](int from) {
        add_band_weighted<Shape>(
            weights[warp], band, from, [&](int key) { return own_minus_tile(own, key); }, sums);
      });
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (own + r >= piece.rows()) return;
    const int64_t token = piece.token(own + r);
    store_row<Shape>(sums[r], mask.scale() / total[r], x.head_size, context + x.context_offset(token));
    if (lane == 0) log_sums[x.row(token)] = largest[r] + logf(total[r]);
  }
}

// The gradient of the scores is p (dp - delta), with p the probabilities, dp their gradient and delta = sum over the keys of p dp. That sum
// is the dot product of gradient and context, but context has been rounded to the compute type, and delta with it would be as wrong as
// that. So the dot product is only a first guess; the rest of delta is found on the way, and taken out at the end:
//   dQ = scale (sum p (dp - guess) K - rest sum p K),  rest = sum p (dp - guess)
// where K is the sum of the key and the embedding of its distance.
// A block has queries. deltas: of each query and head.
template <class T, class Shape, bool has_distances>
__global__ void d_query_kernel(AttentionOperands<T> x, unsigned pieces, const T* gradient, const T* context, const float* log_sums,
                               float* deltas, T* d_qkv) {
  constexpr int kRows = Shape::kRows, kColumns = Shape::kColumns;
  __shared__ __align__(16) float queries[Shape::kOwn][Shape::kStride], gradients[Shape::kOwn][Shape::kStride], tile[kWarp][Shape::kStride];
  __shared__ __align__(16) float weights[kAttentionWarps][kWarp][kRows];
  __shared__ __align__(16) float band[has_distances ? Shape::kOwn : 1][Shape::kStride];
  const Piece piece(x, pieces, Shape::kOwn);
  if (piece.empty()) return;
  const DropoutMask mask(x.dropout);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = lane_of_warp(), own = warp * kRows;
  load_tile<Shape>(x.qkv + x.offset(piece.token(0), 0), x.stride(), piece.rows(), Shape::kOwn, x.head_size, x.scale, queries);
  load_tile<Shape>(gradient + x.context_offset(piece.token(0)), x.context_stride(), piece.rows(), Shape::kOwn, x.head_size, 1, gradients);
  __syncthreads();

  float log_sum[kRows], guess[kRows], rest[kRows] = {}, sums[kRows][kColumns] = {}, mean_keys[kRows][kColumns] = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t token = piece.token(own + r);
    log_sum[r] = log_sums[x.row(token)];
    float product = 0;
    for (int i = lane; i < x.head_size; i += kWarp) product += gradients[own + r][i] * load(context + x.context_offset(token) + i);
    guess[r] = warp_reduce<Sum>(product);
  }
  for (int begin = 0; begin < piece.length; begin += kWarp) {
    const int keys = min(kWarp, piece.length - begin);
    __syncthreads();
    load_tile<Shape>(x.qkv + x.offset(piece.begin + begin, 2), x.stride(), keys, kWarp, x.head_size, 1, tile);
    __syncthreads();
    float d_scores[kRows], p[kRows];
    multiply_scores<Shape>(gradients + own, tile, d_scores);
    const int first_distance = piece.first - begin - (kWarp - 1);
    if constexpr (has_distances) {
      if (x.distances_of_values)
        add_band_scores<Shape>(
            distances_of(x), first_distance, own_minus_tile(own, lane), band,
            [&](int r, int k) { return load_quad(gradients[own + r] + k); }, d_scores);
    }
    __syncthreads();
    load_tile<Shape>(x.qkv + x.offset(piece.begin + begin, 1), x.stride(), keys, kWarp, x.head_size, 1, tile);
    __syncthreads();
    multiply_scores<Shape>(queries + own, tile, p);
    if constexpr (has_distances)
      add_band_scores<Shape>(
          distances_of(x), first_distance, own_minus_tile(own, lane), band,
          [&](int r, int k) { return distance_factor(x, queries[own + r], tile[lane], k); }, p);
    const uint32_t kept = kept_keys<kRows>(mask, piece, own, begin);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      p[r] = lane < keys ? expf(p[r] - log_sum[r]) : 0.0f;
      d_scores[r] = p[r] * (((kept >> r) & 1u ? d_scores[r] * mask.scale() : 0.0f) - guess[r]);
      rest[r] += d_scores[r];
    }
    share_weights<Shape>(d_scores, weights[warp]);
    add_weighted<Shape>(weights[warp], tile, keys, sums);
    share_weights<Shape>(p, weights[warp]);
    add_weighted<Shape>(weights[warp], tile, keys, mean_keys);
    if constexpr (has_distances)
      for_band<Shape>(distances_of(x), first_distance, band, [&](int from) {
        const auto place_of = [&](int key) { return own_minus_tile(own, key); };
        share_weights<Shape>(d_scores, weights[warp]);
        add_band_weighted<Shape>(weights[warp], band, from, place_of, sums);
        share_weights<Shape>(p, weights[warp]);
        add_band_weighted<Shape>(weights[warp], band, from, place_of, mean_keys);
      });
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (own + r >= piece.rows()) return;
    const int64_t token = piece.token(own + r);
    rest[r] = warp_reduce<Sum>(rest[r]);
    for (int c = 0; c < kColumns; ++c) sums[r][c] -= rest[r] * mean_keys[r][c];
    store_row<Shape>(sums[r], x.scale, x.head_size, d_qkv + x.offset(token, 0));
    if (lane == 0) deltas[x.row(token)] = guess[r] + rest[r];
  }
}

// A block has keys and their values, and passes over the queries. After d_query_kernel, which finds the deltas.
template <class T, class Shape, bool has_distances>
__global__ void d_key_value_kernel(AttentionOperands<T> x, unsigned pieces, const T* gradient, const float* log_sums, const float* deltas,
                                   T* d_qkv) {
  constexpr int kRows = Shape::kRows, kColumns = Shape::kColumns;
  static_assert(kOctet % kRows == 0, "a warp's keys share one octet of the mask");
  __shared__ __align__(16) float keys[Shape::kOwn][Shape::kStride], values[Shape::kOwn][Shape::kStride], tile[kWarp][Shape::kStride];
  __shared__ __align__(16) float weights[kAttentionWarps][kWarp][kRows];
  __shared__ __align__(16) float band[has_distances ? Shape::kOwn : 1][Shape::kStride];
  const Piece piece(x, pieces, Shape::kOwn);
  if (piece.empty()) return;
  const DropoutMask mask(x.dropout);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = lane_of_warp(), own = warp * kRows;
  const auto first_key = static_cast<uint32_t>(piece.first + own);
  load_tile<Shape>(x.qkv + x.offset(piece.token(0), 1), x.stride(), piece.rows(), Shape::kOwn, x.head_size, 1, keys);
  load_tile<Shape>(x.qkv + x.offset(piece.token(0), 2), x.stride(), piece.rows(), Shape::kOwn, x.head_size, 1, values);

  float d_keys[kRows][kColumns] = {}, d_values[kRows][kColumns] = {};
  for (int begin = 0; begin < piece.length; begin += kWarp) {
    const int queries = min(kWarp, piece.length - begin);
    const int64_t tile_token = piece.begin + begin, token = tile_token + std::min(lane, queries - 1);
    const float log_sum = log_sums[x.row(token)], delta = deltas[x.row(token)];
    uint32_t kept = kAllLanes;
    if (mask.active())
      kept = mask.keep_bits(mask.token_key(token), blockIdx.y * kOctetsOfHead + first_key / kOctet) >> (first_key % kOctet);
    const auto load_queries = [&] {
      __syncthreads();
      load_tile<Shape>(x.qkv + x.offset(tile_token, 0), x.stride(), queries, kWarp, x.head_size, x.scale, tile);
      __syncthreads();
    };
    load_queries();
    float p[kRows], d_scores[kRows], dropped[kRows];
    multiply_scores<Shape>(keys + own, tile, p);
    const int first_distance = begin - piece.first - (Shape::kOwn - 1);
    if constexpr (has_distances)
      add_band_scores<Shape>(
          distances_of(x), first_distance, tile_minus_own<Shape>(own, lane), band,
          [&](int r, int k) { return distance_factor(x, tile[lane], keys[own + r], k); }, p);
    __syncthreads();
    load_tile<Shape>(gradient + x.context_offset(tile_token), x.context_stride(), queries, kWarp, x.head_size, 1, tile);
    __syncthreads();
    multiply_scores<Shape>(values + own, tile, d_scores);
    if constexpr (has_distances) {
      if (x.distances_of_values)
        add_band_scores<Shape>(
            distances_of(x), first_distance, tile_minus_own<Shape>(own, lane), band, [&](int, int k) { return load_quad(tile[lane] + k); },
            d_scores);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      p[r] = lane < queries ? expf(p[r] - log_sum) : 0.0f;
      const float factor = (kept >> r) & 1u ? mask.scale() : 0.0f;
      dropped[r] = p[r] * factor;
      d_scores[r] = p[r] * (d_scores[r] * factor - delta);
    }
    share_weights<Shape>(dropped, weights[warp]);
    add_weighted<Shape>(weights[warp], tile, queries, d_values);
    share_weights<Shape>(d_scores, weights[warp]);
    load_queries();  // again: a third tile would not fit
    add_weighted<Shape>(weights[warp], tile, queries, d_keys);
    if constexpr (has_distances) {
      if (!x.distances_of_keys) continue;
      for (float& each : d_scores) each *= x.scale;
      share_weights<Shape>(d_scores, weights[warp]);
      for_band<Shape>(distances_of(x), first_distance, band, [&](int from) {
        add_band_weighted<Shape>(
            weights[warp], band, from, [&](int query) { return tile_minus_own<Shape>(own, query); }, d_keys);
      });
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (own + r >= piece.rows()) return;
    const int64_t token = piece.token(own + r);
    store_row<Shape>(d_keys[r], 1, x.head_size, d_qkv + x.offset(token, 1));  // the queries were scaled
    store_row<Shape>(d_values[r], 1, x.head_size, d_qkv + x.offset(token, 2));
  }
}

}  // namespace

void attention_forward(const AttentionForward& op, const Context& context) {
  if (takes_tensor_cores(op)) return attention_forward_mma(op, context);
  with_shape(op.qkv, [&]<class T, class Tile>(T, Tile) {
    const AttentionBlocks b = attention_blocks(op, Tile::kOwn, kAttentionWarps * kWarp);
    const auto kernel = op.distance_embedding ? forward_kernel<T, Tile, true> : forward_kernel<T, Tile, false>;
    launch(b.launch, context.stream, kernel, attention_operands<T>(op), b.pieces, data<T>(op.context), data<float>(op.saved));
  });
}

void attention_backward(const AttentionBackward& op, const Context& context) {
  if (takes_tensor_cores(op)) return attention_backward_mma(op, context);
  const int64_t rows = op.qkv.shape()[0] * op.qkv.shape()[2];
  const bool has_distances{op.distance_embedding};
  float* const deltas = context.workspace.get<float>(rows + (has_distances ? distance_partials(op) : 0));
  with_shape(op.qkv, [&]<class T, class Tile>(T, Tile) {
    const AttentionBlocks b = attention_blocks(op, Tile::kOwn, kAttentionWarps * kWarp);
    const auto d_query = has_distances ? d_query_kernel<T, Tile, true> : d_query_kernel<T, Tile, false>;
    const auto d_key_value = has_distances ? d_key_value_kernel<T, Tile, true> : d_key_value_kernel<T, Tile, false>;
    launch(b.launch, context.stream, d_query, attention_operands<T>(op), b.pieces, data<T>(op.gradient), data<T>(op.context),
           data<float>(op.saved), deltas, data<T>(op.d_qkv));
    launch(b.launch, context.stream, d_key_value, attention_operands<T>(op), b.pieces, data<T>(op.gradient), data<float>(op.saved), deltas,
           data<T>(op.d_qkv));
  });
  if (has_distances) distance_backward(op, deltas, deltas + rows, context);
}

}  // namespace mpibert::cuda
