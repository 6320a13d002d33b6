// The gradient of attention's distance embeddings.

#include "ops/cuda/attention_distance.h"

#include <algorithm>

#include "ops/cuda/device/attention.cuh"
#include "ops/cuda/device/attention_band.cuh"
#include "ops/cuda/device/partial_sums.cuh"

namespace mpibert::cuda {
namespace {

constexpr unsigned kGroups = 8;  // of sequences: their sums are added in the end, so that there are enough blocks

// A block has distances, of a head and of every eighth sequence, and passes over the queries: query i and distance d meet at key i - d. The
// scores and their gradients are computed once more, as those of attention.cu are, from its log_sums and deltas. partials [kGroups, A,
// rows, D], from distance 1 - longest on.
template <class T, class Shape>
__global__ void d_distance_kernel(AttentionOperands<T> x, int longest, int sequences, int64_t rows, const T* gradient,
                                  const float* log_sums, const float* deltas, float* partials) {
  constexpr int kRows = Shape::kRows, kColumns = Shape::kColumns;
  __shared__ __align__(16) float embeddings[Shape::kOwn][Shape::kStride], tile[kWarp][Shape::kStride], band[Shape::kOwn][Shape::kStride];
  __shared__ __align__(16) float weights[kAttentionWarps][kWarp][kRows];
  const DropoutMask mask(x.dropout);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = lane_of_warp(), own = warp * kRows;
  const unsigned piece = blockIdx.x / kGroups, group = blockIdx.x % kGroups;
  const int first = static_cast<int>(piece) * Shape::kOwn - (longest - 1);  // distance
  const BandPlace place = tile_minus_own<Shape>(own, lane);
  load_band<Shape>(distances_of(x), first, embeddings);

  float d_embeddings[kRows][kColumns] = {};
  for (int sequence = static_cast<int>(group); sequence < sequences; sequence += static_cast<int>(kGroups)) {
    const int64_t sequence_begin = x.cu_seqlens[sequence];
    const int length = static_cast<int>(x.cu_seqlens[sequence + 1] - sequence_begin);
    const auto part = [&](int number) {
      return BandMatrix<T>{x.qkv + x.offset(sequence_begin, number), x.stride(), 0, length, x.head_size};
    };
    for (int begin = 0; begin < length; begin += kWarp) {
      if (begin + kWarp <= first || begin >= length + first + Shape::kOwn - 1) continue;  // no query here has a key so far away
      const int queries = min(kWarp, length - begin), first_key = begin - first - (Shape::kOwn - 1);
      const int64_t tile_token = sequence_begin + begin, token = tile_token + std::min(lane, queries - 1);
      const float log_sum = log_sums[x.row(token)], delta = deltas[x.row(token)];
      const auto load_rows = [&](const T* from, int64_t stride, float scale) {
        __syncthreads();
        load_tile<Shape>(from, stride, queries, kWarp, x.head_size, scale, tile);
        __syncthreads();
      };
      float p[kRows], d_scores[kRows] = {};
      load_rows(x.qkv + x.offset(tile_token, 0), x.stride(), x.scale);
      multiply_scores<Shape>(embeddings + own, tile, p);
      add_band_scores<Shape>(
          part(1), first_key, place, band,
          [&](int r, int k) {
            const Quad query = load_quad(tile[lane] + k);
            return x.distances_of_keys ? sum_of(query, x.scale, load_quad(embeddings[own + r] + k)) : query;
          },
          p);
      load_rows(gradient + x.context_offset(tile_token), x.context_stride(), 1);
      if (x.distances_of_values) multiply_scores<Shape>(embeddings + own, tile, d_scores);
      add_band_scores<Shape>(
          part(2), first_key, place, band, [&](int, int k) { return load_quad(tile[lane] + k); }, d_scores);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int key = first_key + place.at(r);
        const bool is_there = lane < queries && key >= 0 && key < length;
        const float factor = is_there ? mask.factor(token, static_cast<int64_t>(blockIdx.y) * kOctetsOfHead * kOctet + key) : 0.0f;
        p[r] = is_there ? expf(p[r] - log_sum) : 0.0f;
        d_scores[r] = p[r] * (d_scores[r] * factor - delta);
        p[r] *= factor;
      }
      if (x.distances_of_values) {
        share_weights<Shape>(p, weights[warp]);
        add_weighted<Shape>(weights[warp], tile, queries, d_embeddings);
      }
      share_weights<Shape>(d_scores, weights[warp]);
      load_rows(x.qkv + x.offset(tile_token, 0), x.stride(), x.scale);
      add_weighted<Shape>(weights[warp], tile, queries, d_embeddings);
      if (!x.distances_of_keys) continue;
      for (float& each : d_scores) each *= x.scale;
      share_weights<Shape>(d_scores, weights[warp]);
      for_band<Shape>(part(1), first_key, band, [&](int from) {
        add_band_weighted<Shape>(
            weights[warp], band, from, [&](int query) { return tile_minus_own<Shape>(own, query); }, d_embeddings);
      });
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = (static_cast<int64_t>(group) * x.heads + blockIdx.y) * rows + static_cast<int64_t>(piece) * Shape::kOwn + own + r;
    store_row<Shape>(d_embeddings[r], 1, x.head_size, partials + row * x.head_size);
  }
}

// The rows of the longest sequence's distances [2 longest - 1, D] that lie beyond both ends of the embeddings [2P - 1, D] are added to
// these: output[i] += the sum of what row i stands for. A block has 32 columns of one row.
__global__ void fold_distances_kernel(const float* rows, int longest, int positions, int columns, float* output) {
  const int column = static_cast<int>(blockIdx.x * kWarp + threadIdx.x), row = static_cast<int>(blockIdx.y), last = 2 * positions - 2;
  if (column >= columns) return;
  const int here = row - (positions - 1) + (longest - 1);
  const int begin = std::max(0, row == 0 ? 0 : here), end = std::min(2 * longest - 1, row == last ? 2 * longest - 1 : here + 1);
  float sum = 0;
  for (int i = begin; i < end; ++i) sum += rows[static_cast<int64_t>(i) * columns + column];
  output[static_cast<int64_t>(row) * columns + column] += sum;
}

bool is_clipped(const AttentionBackward& op) { return op.distance_use == DistanceUse::kQueriesAndValues; }

// Above the largest distance that matters: that of the longest sequence, or P.
int64_t longest_of(const AttentionBackward& op) {
  return is_clipped(op) ? op.max_seq_length : std::min(op.max_seq_length, op.distance_embedding.shape()[0] / 2 + 1);
}

int64_t pieces_of(int64_t longest, int own) { return (2 * longest - 1 + own - 1) / own; }

}  // namespace

int64_t distance_partials(const AttentionBackward& op) {
  int64_t size = 0;
  with_shape(op.qkv, [&]<class T, class Tile>(T, Tile) {
    size = kGroups * op.qkv.shape()[2] * pieces_of(longest_of(op), Tile::kOwn) * Tile::kOwn * op.qkv.shape()[3];
  });
  return size;
}

void distance_backward(const AttentionBackward& op, const float* deltas, float* partials, const Context& context) {
  const int64_t heads = op.qkv.shape()[2], head_size = op.qkv.shape()[3], longest = longest_of(op);
  if (longest == 0) return;  // an empty batch
  with_shape(op.qkv, [&]<class T, class Tile>(T, Tile) {
    const int64_t pieces = pieces_of(longest, Tile::kOwn), rows = pieces * Tile::kOwn;
    launch({.grid = dim3(static_cast<unsigned>(pieces) * kGroups, static_cast<unsigned>(heads)), .block = dim3(kAttentionWarps * kWarp)},
           context.stream, d_distance_kernel<T, Tile>, attention_operands<T>(op), static_cast<int>(longest),
           static_cast<int>(op.cu_seqlens.size() - 1), rows, data<T>(op.gradient), data<float>(op.saved), deltas, partials);
    const int64_t positions = op.distance_embedding.shape()[0] / 2 + 1, chunk = rows * head_size, width = (2 * longest - 1) * head_size;
    float* const output = data<float>(op.d_distance_embedding);
    if (!is_clipped(op)) {  // the embeddings beyond the longest sequence stay as they are
      add_partials(partials, kGroups * heads, chunk, width, output + (positions - longest) * head_size, context.stream);
      return;
    }
    add_partials(partials + chunk, kGroups * heads - 1, chunk, width, partials, context.stream);
    launch({.grid = dim3(static_cast<unsigned>((head_size + kWarp - 1) / kWarp), static_cast<unsigned>(2 * positions - 1)),
            .block = dim3(kWarp)},
           context.stream, fold_distances_kernel, static_cast<const float*>(partials), static_cast<int>(longest),
           static_cast<int>(positions), static_cast<int>(head_size), output);
  });
}

}  // namespace mpibert::cuda
