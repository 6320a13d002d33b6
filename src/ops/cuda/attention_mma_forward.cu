// Attention forward on tensor cores: a block has 64 queries of a head and passes over its keys and values, 64 at a time, with the maximum
// and sum of each row online. Probabilities go from the sums of one product to the operand of the next in registers. Source: Dao 2023,
// "FlashAttention-2", arXiv:2307.08691.
//
// Of a block and tile, D = 64: 2 products, 4 * 64 * 64 * D = 1.05 MFLOP; 4096 exponentials; 512 draws of Philox with dropout; 16 KiB of
// keys and values from L2, 18 KiB through ldmatrix for each of the four warps.

#include <cmath>

#include "ops/cuda/attention_mma.h"
#include "ops/cuda/device/attention_mma.cuh"

namespace mpibert::cuda {
namespace {

constexpr int kKeys = 64;  // of a tile

template <class T, int depth>
struct Memory {
  T queries[kMmaOwn * depth];
  struct {
    T keys[kKeys * depth], values[kKeys * depth];
  } stages[2];
};

// log_sums: of each head and query, the logarithm to base 2 of the sum of e^score.
template <class T, int depth>
__global__ void __launch_bounds__(kMmaThreads, kMmaBlocks<depth>)
    forward_kernel(AttentionOperands<T> x, unsigned pieces, T* context, float* log_sums) {
  auto& memory = shared_memory<Memory<T, depth>>();
  const Piece piece(x, pieces, kMmaOwn);
  if (piece.empty()) return;
  const DropoutMask mask(x.dropout);
  const Place at;
  const float exponent = x.scale * kLog2E;  // e^(scale s) = 2^(exponent s)
  uint32_t token_keys[2] = {};
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {}, sums[depth / 8][4] = {};
  if (mask.active())
    for (int half = 0; half < 2; ++half) token_keys[half] = mask.token_key(piece.token(at.own + at.g + 8 * half));

  copy_rows<depth>(x.qkv + x.offset(piece.token(0), 0), x.stride(), piece.rows(), kMmaOwn, x.head_size, memory.queries);
  const auto load = [&](int i, int stage) {
    const int64_t token = piece.begin + i * kKeys;
    const int keys = piece.length - i * kKeys;
    copy_rows<depth>(x.qkv + x.offset(token, 1), x.stride(), keys, kKeys, x.head_size, memory.stages[stage].keys);
    copy_rows<depth>(x.qkv + x.offset(token, 2), x.stride(), keys, kKeys, x.head_size, memory.stages[stage].values);
  };
  pass_over_tiles((piece.length + kKeys - 1) / kKeys, load, [&](int i, int stage) {
    if (at.own >= piece.rows()) return;
    const uint32_t kept = kept_keys<kKeys>(mask, token_keys, i * kKeys);  // before there are products to keep in registers
    float scores[kKeys / 8][4];
    multiply_rows<depth>(memory.queries + at.own * depth, memory.stages[stage].keys, scores);
    const int keys = piece.length - i * kKeys;
    if (keys < kKeys)
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
        for (int e = 0; e < 4; ++e)
          if (8 * n + 2 * at.t + e % 2 >= keys) scores[n][e] = -INFINITY;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = largest[half];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) most = fmaxf(most, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      most = quad_reduce<Max>(most);
      const float correction = exp2f((largest[half] - most) * exponent), shift = most * exponent;
      largest[half] = most;
      total[half] *= correction;  // of the lane's columns
#pragma unroll
      for (int n = 0; n < depth / 8; ++n) sums[n][2 * half] *= correction, sums[n][2 * half + 1] *= correction;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          const float p = exp2f(fmaf(scores[n][e], exponent, -shift));
          total[half] += p;
          scores[n][e] = (kept >> (4 * n + e)) & 1u ? p : 0.0f;
        }
    }
    uint32_t weights[kKeys / 16][4];
    pack_weights<T>(scores, weights);
    for_fragments<depth, kKeys>(memory.stages[stage].values,
                                [&](int k, int n, const uint32_t(&b)[2]) { mma_m16n8k16<T>(sums[n], weights[k], b); });
  });
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    total[half] = quad_reduce<Sum>(total[half]);
    const int row = at.own + at.g + 8 * half;
    if (row >= piece.rows()) continue;
    const int64_t token = piece.token(row);
    store_sums(sums, half, mask.scale() / total[half], x.head_size, context + x.context_offset(token));
    if (at.t == 0) log_sums[x.row(token)] = fmaf(largest[half], exponent, log2f(total[half]));
  }
}

}  // namespace

void attention_forward_mma(const AttentionForward& op, const Context& context) {
  check_aligned("qkv", op.qkv);
  check_aligned("context", op.context);
  with_depth(op.qkv, [&]<class T, int depth>() {
    const AttentionBlocks blocks = attention_blocks(op, kMmaOwn, kMmaThreads, sizeof(Memory<T, depth>));
    launch(blocks.launch, context.stream, forward_kernel<T, depth>, attention_operands<T>(op), blocks.pieces, data<T>(op.context),
           data<float>(op.saved));
  });
}

}  // namespace mpibert::cuda
