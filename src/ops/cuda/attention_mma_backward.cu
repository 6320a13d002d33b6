// Attention backward on tensor cores, in two passes, each of which makes the probabilities anew, so that every sum has one owner and one
// order: first a block has 64 queries and passes over keys and values (dQ), then one has 64 keys and passes over queries and gradients (dK,
// dV). Source: Dao 2023, "FlashAttention-2", arXiv:2307.08691. With p the probabilities, dp their gradient and delta = sum over the keys of
// p dp,
//   dS = p (dp - delta),  dQ = scale dS K,  dK = scale dS^T Q,  dV = dropout(p)^T gradient
//
// delta is also the dot product of gradient and context, but context has been rounded to 16 bits, and delta with it would be as wrong as
// that, for all keys alike. So, as in attention.cu, the dot product is only a guess, and the rest is taken out at the end of the first
// pass:
//   dQ = scale (sum p (dp - guess) K - rest sum p K),  rest = sum p (dp - guess),  delta = guess + rest
//
// Of a block and tile of 32, D = 64: 4 products in each pass, 8 * 64 * 32 * D = 1.05 MFLOP; 2048 exponentials; 256 draws of Philox with
// dropout; 8 KiB from L2; through ldmatrix, for each of the four warps, 12 KiB for the scores and their gradients, then 4 KiB (dQ) or 8 KiB
// (dK, dV).

#include "ops/cuda/attention_mma.h"
#include "ops/cuda/device/attention_mma.cuh"
#include "ops/cuda/device/octet.cuh"

namespace mpibert::cuda {
namespace {

constexpr int kRows = 32;  // of a tile

template <class T, int depth>
struct QueryMemory {
  T queries[kMmaOwn * depth], gradients[kMmaOwn * depth];
  struct {
    T keys[kRows * depth], values[kRows * depth];
  } stages[2];
};

// gradient . context of one row, added up by the four lanes of its quad.
template <class T>
__device__ inline float dot_of_row(const T* gradient, const T* context, int columns) {
  float sum = 0;
  for (int begin = static_cast<int>(threadIdx.x) % 4 * kOctet; begin < columns; begin += 4 * kOctet) {
    const Octet x = load_octet(gradient + begin, kOctet), y = load_octet(context + begin, kOctet);
    for (int i = 0; i < kOctet; ++i) sum += x[i] * y[i];
  }
  return quad_reduce<Sum>(sum);
}

// log_sums: of attention_forward_mma. deltas: of each head and query.
template <class T, int depth>
__global__ void __launch_bounds__(kMmaThreads, kMmaBlocks<depth>)
    d_query_kernel(AttentionOperands<T> x, unsigned pieces, const T* gradient, const T* context, const float* log_sums, float* deltas,
                   T* d_qkv) {
  auto& memory = shared_memory<QueryMemory<T, depth>>();
  const Piece piece(x, pieces, kMmaOwn);
  if (piece.empty()) return;
  const DropoutMask mask(x.dropout);
  const Place at;
  const int64_t first = piece.token(0);
  copy_rows<depth>(x.qkv + x.offset(first, 0), x.stride(), piece.rows(), kMmaOwn, x.head_size, memory.queries);
  copy_rows<depth>(gradient + x.context_offset(first), x.context_stride(), piece.rows(), kMmaOwn, x.head_size, memory.gradients);

  const float exponent = x.scale * kLog2E;
  uint32_t token_keys[2] = {};
  float log_sum[2], guess[2], rest[2] = {}, sums[depth / 8][4] = {}, mean_keys[depth / 8][4] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t token = piece.token(at.own + at.g + 8 * half);
    if (mask.active()) token_keys[half] = mask.token_key(token);
    log_sum[half] = log_sums[x.row(token)];
    guess[half] = dot_of_row(gradient + x.context_offset(token), context + x.context_offset(token), x.head_size);
  }
  const auto load = [&](int i, int stage) {
    const int64_t token = piece.begin + i * kRows;
    const int keys = piece.length - i * kRows;
    copy_rows<depth>(x.qkv + x.offset(token, 1), x.stride(), keys, kRows, x.head_size, memory.stages[stage].keys);
    copy_rows<depth>(x.qkv + x.offset(token, 2), x.stride(), keys, kRows, x.head_size, memory.stages[stage].values);
  };
  pass_over_tiles((piece.length + kRows - 1) / kRows, load, [&](int i, int stage) {
    if (at.own >= piece.rows()) return;
    const T *const keys = memory.stages[stage].keys, *const values = memory.stages[stage].values;
    float p[kRows / 8][4], d_scores[kRows / 8][4];
    const uint32_t kept = kept_keys<kRows>(mask, token_keys, i * kRows);  // before there are products to keep in registers
    multiply_rows<depth>(memory.queries + at.own * depth, keys, p);
    multiply_rows<depth>(memory.gradients + at.own * depth, values, d_scores);
    const int valid = piece.length - i * kRows;
#pragma unroll
    for (int n = 0; n < kRows / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int half = e / 2;
        p[n][e] = 8 * n + 2 * at.t + e % 2 < valid ? exp2f(fmaf(p[n][e], exponent, -log_sum[half])) : 0.0f;
        d_scores[n][e] = p[n][e] * (((kept >> (4 * n + e)) & 1u ? d_scores[n][e] * mask.scale() : 0.0f) - guess[half]);
        rest[half] += d_scores[n][e];
      }
    uint32_t weights[kRows / 16][4], probabilities[kRows / 16][4];
    pack_weights<T>(d_scores, weights);
    pack_weights<T>(p, probabilities);
    for_fragments<depth, kRows>(keys, [&](int k, int n, const uint32_t(&b)[2]) {
      mma_m16n8k16<T>(sums[n], weights[k], b);
      mma_m16n8k16<T>(mean_keys[n], probabilities[k], b);
    });
  });
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    rest[half] = quad_reduce<Sum>(rest[half]);
#pragma unroll
    for (int n = 0; n < depth / 8; ++n)
      for (int e = 2 * half; e < 2 * half + 2; ++e) sums[n][e] -= rest[half] * mean_keys[n][e];
    const int row = at.own + at.g + 8 * half;
    if (row >= piece.rows()) continue;
    const int64_t token = piece.token(row);
    store_sums(sums, half, x.scale, x.head_size, d_qkv + x.offset(token, 0));
    if (at.t == 0) deltas[x.row(token)] = guess[half] + rest[half];
  }
}

template <class T, int depth>
struct KeyMemory {
  T keys[kMmaOwn * depth], values[kMmaOwn * depth];
  struct {
    T queries[kRows * depth], gradients[kRows * depth];
    float log_sums[kRows], deltas[kRows];
  } stages[2];
};

// After d_query_kernel, which finds the deltas. Rows of the matrices are keys, columns queries. Queries beyond the end are zeros, and so
// are their log_sum, delta and gradient: they add p * 0 and 1 * (0 - 0).
template <class T, int depth>
__global__ void __launch_bounds__(kMmaThreads, kMmaBlocks<depth>)
    d_key_value_kernel(AttentionOperands<T> x, unsigned pieces, const T* gradient, const float* log_sums, const float* deltas, T* d_qkv) {
  auto& memory = shared_memory<KeyMemory<T, depth>>();
  const Piece piece(x, pieces, kMmaOwn);
  if (piece.empty()) return;
  const DropoutMask mask(x.dropout);
  const Place at;
  const int64_t first = piece.token(0);
  copy_rows<depth>(x.qkv + x.offset(first, 1), x.stride(), piece.rows(), kMmaOwn, x.head_size, memory.keys);
  copy_rows<depth>(x.qkv + x.offset(first, 2), x.stride(), piece.rows(), kMmaOwn, x.head_size, memory.values);

  const float exponent = x.scale * kLog2E;
  float d_keys[depth / 8][4] = {}, d_values[depth / 8][4] = {};
  const auto load = [&](int i, int stage) {
    auto& to = memory.stages[stage];
    const int64_t token = piece.begin + i * kRows;
    const int queries = piece.length - i * kRows;
    copy_rows<depth>(x.qkv + x.offset(token, 0), x.stride(), queries, kRows, x.head_size, to.queries);
    copy_rows<depth>(gradient + x.context_offset(token), x.context_stride(), queries, kRows, x.head_size, to.gradients);
    if (threadIdx.x >= 2 * kRows) return;
    const int query = static_cast<int>(threadIdx.x) % kRows;
    const bool is_sum = threadIdx.x < kRows, valid = query < queries;
    copy_async<4>((is_sum ? to.log_sums : to.deltas) + query, (is_sum ? log_sums : deltas) + x.row(valid ? token + query : token), valid);
  };
  pass_over_tiles((piece.length + kRows - 1) / kRows, load, [&](int i, int stage) {
    if (at.own >= piece.rows()) return;
    const auto& tile = memory.stages[stage];
    float p[kRows / 8][4], d_scores[kRows / 8][4];
    const uint32_t kept = kept_queries(mask, piece.begin + i * kRows, piece.begin + piece.length - 1, piece.first + at.own);
    multiply_rows<depth>(memory.keys + at.own * depth, tile.queries, p);
    multiply_rows<depth>(memory.values + at.own * depth, tile.gradients, d_scores);
#pragma unroll
    for (int n = 0; n < kRows / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int query = 8 * n + 2 * at.t + e % 2;
        const bool keeps = (kept >> (4 * n + e)) & 1u;
        p[n][e] = exp2f(fmaf(p[n][e], exponent, -tile.log_sums[query]));
        d_scores[n][e] = p[n][e] * ((keeps ? d_scores[n][e] * mask.scale() : 0.0f) - tile.deltas[query]);
        if (!keeps) p[n][e] = 0;
      }
    uint32_t weights[kRows / 16][4], dropped[kRows / 16][4];
    pack_weights<T>(d_scores, weights);
    pack_weights<T>(p, dropped);
    for_fragments<depth, kRows>(tile.queries, [&](int k, int n, const uint32_t(&b)[2]) { mma_m16n8k16<T>(d_keys[n], weights[k], b); });
    for_fragments<depth, kRows>(tile.gradients, [&](int k, int n, const uint32_t(&b)[2]) { mma_m16n8k16<T>(d_values[n], dropped[k], b); });
  });
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = at.own + at.g + 8 * half;
    if (row >= piece.rows()) continue;
    const int64_t token = piece.token(row);
    store_sums(d_keys, half, x.scale, x.head_size, d_qkv + x.offset(token, 1));
    store_sums(d_values, half, mask.scale(), x.head_size, d_qkv + x.offset(token, 2));
  }
}

}  // namespace

void attention_backward_mma(const AttentionBackward& op, const Context& context) {
  check_aligned("qkv", op.qkv);
  check_aligned("gradient", op.gradient);
  check_aligned("context", op.context);
  check_aligned("d_qkv", op.d_qkv);
  with_depth(op.qkv, [&]<class T, int depth>() {
    float* const deltas = context.workspace.get<float>(op.qkv.shape()[0] * op.qkv.shape()[2]);
    const AttentionBlocks queries = attention_blocks(op, kMmaOwn, kMmaThreads, sizeof(QueryMemory<T, depth>));
    launch(queries.launch, context.stream, d_query_kernel<T, depth>, attention_operands<T>(op), queries.pieces, data<T>(op.gradient),
           data<T>(op.context), data<float>(op.saved), deltas, data<T>(op.d_qkv));
    const AttentionBlocks keys = attention_blocks(op, kMmaOwn, kMmaThreads, sizeof(KeyMemory<T, depth>));
    launch(keys.launch, context.stream, d_key_value_kernel<T, depth>, attention_operands<T>(op), keys.pieces, data<T>(op.gradient),
           data<float>(op.saved), deltas, data<T>(op.d_qkv));
  });
}

}  // namespace mpibert::cuda
