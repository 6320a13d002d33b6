#pragma once

// What all attention kernels share: where the numbers of a head are, and which rows a block has. Blocks are laid over B sequences (x) and A
// heads (y).

#include <algorithm>
#include <cmath>

#include "ops/cuda/device/dropout_mask.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

inline constexpr uint32_t kOctetsOfHead = 65536 / 8;  // dropout columns of a head

template <class T>
struct AttentionOperands {
  const T* qkv;
  const int32_t* cu_seqlens;
  int64_t tokens;
  int heads, head_size;
  float scale;  // 1 / sqrt(D)
  DropoutArguments dropout;
  const T* distance_row_0;  // the embedding of distance 0; those of 1 - positions .. positions - 1 lie around it. Null where there are none
  int positions;
  bool distances_of_keys, distances_of_values;  // the latter clipped

  // From token to token, in qkv and in context.
  __device__ int64_t stride() const { return 3 * context_stride(); }
  __device__ int64_t context_stride() const { return static_cast<int64_t>(heads) * head_size; }
  // Where the query (part 0), key (1) or value (2) of a token starts in qkv, and its context.
  __device__ int64_t offset(int64_t token, int part) const { return ((token * 3 + part) * heads + blockIdx.y) * head_size; }
  __device__ int64_t context_offset(int64_t token) const { return (token * heads + blockIdx.y) * head_size; }
  // Where a number of each token and head is: [A, T].
  __device__ int64_t row(int64_t token) const { return blockIdx.y * tokens + token; }
};

template <class T, class Op>
AttentionOperands<T> attention_operands(const Op& op) {
  const Shape& shape = op.qkv.shape();  // [T, 3, A, D]
  return {
      .qkv = data<T>(op.qkv),
      .cu_seqlens = data<int32_t>(op.cu_seqlens),
      .tokens = shape[0],
      .heads = static_cast<int>(shape[2]),
      .head_size = static_cast<int>(shape[3]),
      .scale = 1 / std::sqrt(static_cast<float>(shape[3])),
      .dropout = dropout_arguments(op.dropout),
      .distance_row_0 = op.distance_embedding ? data<T>(op.distance_embedding) + op.distance_embedding.shape()[0] / 2 * shape[3] : nullptr,
      .positions = op.distance_embedding ? static_cast<int>(op.distance_embedding.shape()[0] / 2 + 1) : 0,
      .distances_of_keys = op.distance_use == DistanceUse::kQueriesAndKeys,
      .distances_of_values = op.distance_use == DistanceUse::kQueriesAndValues};
}

// The block's own rows: from token begin + first on, of the sequence of tokens begin .. begin + length. Block x is one of `pieces` of its
// sequence.
struct Piece {
  int64_t begin;
  int length, first;

  template <class T>
  __device__ Piece(const AttentionOperands<T>& x, unsigned pieces, int rows) {
    const unsigned sequence = blockIdx.x / pieces;
    begin = x.cu_seqlens[sequence];
    length = static_cast<int>(x.cu_seqlens[sequence + 1] - begin);
    first = static_cast<int>(blockIdx.x % pieces) * rows;
  }
  __device__ bool empty() const { return first >= length; }
  __device__ int rows() const { return length - first; }
  // The token of row `first` + i, or the last one of the sequence.
  __device__ int64_t token(int i) const { return begin + std::min(first + i, length - 1); }
};

// Each sequence gets as many blocks of `own` rows as the longest one needs; those beyond its end do nothing.
struct AttentionBlocks {
  unsigned pieces;  // of a sequence
  LaunchShape launch;
};
template <class Op>
AttentionBlocks attention_blocks(const Op& op, int own, int threads, size_t shared_bytes = 0) {
  const int64_t pieces = (op.max_seq_length + own - 1) / own, sequences = op.cu_seqlens.size() - 1;
  return {.pieces = static_cast<unsigned>(pieces),
          .launch = {.grid = dim3(static_cast<unsigned>(pieces * sequences), static_cast<unsigned>(op.qkv.shape()[2])),
                     .block = dim3(static_cast<unsigned>(threads)),
                     .shared_bytes = shared_bytes}};
}

}  // namespace
}  // namespace mpibert::cuda
