#pragma once

// The steps of attention on tensor cores. A block has 64 rows of its own (queries, or keys), 16 for each of its four warps, and passes over
// the other side a tile at a time. All matrices of the warp are 16 rows high; lane (g, t) holds of their 16 x 8 pieces n the elements e = 0
// .. 3,
//   row g + 8 * (e / 2), column 8 * n + 2 * t + e % 2,   g = lane / 4, t = lane % 4   (mma.cuh)

#include "ops/cuda/device/attention.cuh"
#include "ops/cuda/device/mma.cuh"
#include "ops/cuda/device/reduce.cuh"

namespace mpibert::cuda {

extern __shared__ __align__(16) unsigned char dynamic_shared[];

namespace {

inline constexpr int kMmaThreads = 4 * kWarp, kMmaOwn = 64;
template <int depth>
inline constexpr int kMmaBlocks = depth == 32   ? 4
                                  : depth == 64 ? 3
                                                : 2;      // a multiprocessor must hold so many: what their registers allow
inline constexpr float kLog2E = 1.44269504088896340736f;  // e^x = 2^(kLog2E x); the device has an instruction for that

// The block's dynamic shared memory.
template <class Memory>
__device__ inline Memory& shared_memory() {
  void* address = dynamic_shared;
#if !defined(__CUDACC__)
  asm("" : "+r"(address));  // in the sanitizer's checks g++ 12 takes the address of a thread-local array for null
#endif
  return *static_cast<Memory*>(address);
}

// The running thread's warp and lane.
struct Place {
  int lane = static_cast<int>(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
  int own = static_cast<int>(threadIdx.x) / kWarp * 16;  // first row of the warp among the block's
  __device__ Place() {}
};

// Lanes 4 g .. 4 g + 3 hold one row; each of them gets the result.
template <class Op>
__device__ inline float quad_reduce(float x) {
  x = Op::combine(x, __shfl_xor_sync(kAllLanes, x, 1));
  return Op::combine(x, __shfl_xor_sync(kAllLanes, x, 2));
}

// Where chunk `chunk`, eight numbers, of row `row` is in a tile of rows of `depth` numbers. Chunks are permuted so that the same chunk of
// eight neighbouring rows, which ldmatrix reads at once, is in eight different groups of banks.
template <int depth>
__device__ inline int chunk_offset(int row, int chunk) {
  constexpr int kChunks = depth / 8, kTurn = kChunks < 8 ? kChunks : 8, kRowsOfLine = 8 / kTurn;
  static_assert((kChunks & (kChunks - 1)) == 0);
  return (row * kChunks + (chunk ^ (row / kRowsOfLine % kTurn))) * 8;
}

// Begins to copy rows of `columns` numbers, `stride` apart, to a tile of `capacity` rows; zeros beyond them. By all threads of the block.
template <int depth, class T>
__device__ inline void copy_rows(const T* from, int64_t stride, int rows, int capacity, int columns, T* tile) {
  constexpr int kChunks = depth / 8;
  for (int i = static_cast<int>(threadIdx.x); i < capacity * kChunks; i += kMmaThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool valid = row < rows && chunk * 8 < columns;
    copy_async<16>(tile + chunk_offset<depth>(row, chunk), valid ? from + row * stride + chunk * 8 : from, valid);
  }
}

// compute(i, stage) for i = 0 .. tiles - 1, each between barriers; load(i, stage) has begun its copies while the tile before was computed.
template <class Load, class Compute>
__device__ inline void pass_over_tiles(int tiles, const Load& load, const Compute& compute) {
  load(0, 0);
  commit_copies();
  for (int i = 0; i < tiles; ++i) {
    if (i + 1 < tiles) load(i + 1, (i + 1) % 2);
    commit_copies();
    wait_for_copies<1>();
    __syncthreads();
    compute(i, i % 2);
    __syncthreads();  // before its stage is written again
  }
}

// products = the warp's 16 rows times the transposed rows of a tile.
template <int depth, class T, int pieces>
__device__ inline void multiply_rows(const T* rows, const T* tile, float (&products)[pieces][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int n = 0; n < pieces; ++n)
    for (int e = 0; e < 4; ++e) products[n][e] = 0;
#pragma unroll
  for (int k = 0; k < depth / 16; ++k) {
    uint32_t a[4];
    ldmatrix_x4(a, rows + chunk_offset<depth>(lane % 16, 2 * k + lane / 16));
#pragma unroll
    for (int n = 0; n < pieces; n += 2) {
      uint32_t b[4];  // 16 columns of depth (half at lane / 8 % 2) of 16 rows (half at lane / 16)
      ldmatrix_x4(b, tile + chunk_offset<depth>(8 * n + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
      mma_m16n8k16<T>(products[n], a, {b[0], b[1]});
      mma_m16n8k16<T>(products[n + 1], a, {b[2], b[3]});
    }
  }
}

// Calls f(k, n, b) for the fragments b of a tile's rows 16 k .. 16 k + 15, columns 8 n .. 8 n + 7: the right operand of weights times tile.
template <int depth, int rows, class T, class F>
__device__ inline void for_fragments(const T* tile, const F& f) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int k = 0; k < rows / 16; ++k)
#pragma unroll
    for (int n = 0; n < depth / 8; n += 2) {
      uint32_t b[4];
      ldmatrix_x4_trans(b, tile + chunk_offset<depth>(16 * k + lane % 16, n + lane / 16));
      f(k, n, {b[0], b[1]});
      f(k, n + 1, {b[2], b[3]});
    }
}

// Weights in fp32 as the left operand of a product with a tile.
template <class T, int pieces>
__device__ inline void pack_weights(const float (&weights)[pieces][4], uint32_t (&packed)[pieces / 2][4]) {
#pragma unroll
  for (int n = 0; n < pieces; ++n) {
    packed[n / 2][n % 2 * 2] = pack<T>(weights[n][0], weights[n][1]);
    packed[n / 2][n % 2 * 2 + 1] = pack<T>(weights[n][2], weights[n][3]);
  }
}

// Row g + 8 * half of the warp's sums, times factor, to `to`, of which the lane writes its columns.
template <class T, int pieces>
__device__ inline void store_sums(const float (&sums)[pieces][4], int half, float factor, int columns, T* to) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int n = 0; n < pieces; ++n)
    if (8 * n < columns)
      *reinterpret_cast<uint32_t*>(to + 8 * n + 2 * t) = pack<T>(factor * sums[n][2 * half], factor * sums[n][2 * half + 1]);
}

// Bit 4 n + e of both: is the score of piece n, element e, kept? A lane draws octets (eight keys of one query), and lanes that need them
// get them by shuffle; no octet is drawn twice.

// Rows are queries, whose token keys are `token_keys` for rows g and g + 8; columns are `keys` keys from `begin` on. Lanes t of a row's
// quad draw its octets t, t + 4.
template <int keys>
__device__ inline uint32_t kept_keys(const DropoutMask& mask, const uint32_t (&token_keys)[2], int begin) {
  if (!mask.active()) return kAllLanes;
  const Place at;
  const uint32_t octet = blockIdx.y * kOctetsOfHead + static_cast<uint32_t>(begin) / 8 + static_cast<uint32_t>(at.t);
  uint32_t drawn = 0;  // byte 2 i + half: octet t + 4 i of row g + 8 * half
#pragma unroll
  for (int i = 0; i < keys / 32; ++i)
    for (int half = 0; half < 2; ++half) drawn |= mask.keep_bits(token_keys[half], octet + 4 * i) << (16 * i + 8 * half);
  uint32_t kept = 0;
#pragma unroll
  for (int lane = 0; lane < 4; ++lane) {
    const uint32_t bits = __shfl_sync(kAllLanes, drawn, 4 * at.g + lane) >> (2 * at.t);
    for (int i = 0; i < keys / 32; ++i)
      for (int half = 0; half < 2; ++half) kept |= ((bits >> (16 * i + 8 * half)) & 3u) << (4 * (lane + 4 * i) + 2 * half);
  }
  return kept;
}

// Rows are keys, the first of them `key`, a multiple of 16; columns are 32 queries, the tokens from `token` on up to `last`. Lane (g, t)
// draws octet g / 4 of queries 8 (g % 4) + 2 t and the next one.
__device__ inline uint32_t kept_queries(const DropoutMask& mask, int64_t token, int64_t last, int key) {
  if (!mask.active()) return kAllLanes;
  const Place at;
  const uint32_t octet = blockIdx.y * kOctetsOfHead + static_cast<uint32_t>(key) / 8 + static_cast<uint32_t>(at.g / 4);
  uint32_t drawn = 0;  // byte i: of query i of the two
#pragma unroll
  for (int i = 0; i < 2; ++i)
    drawn |= mask.keep_bits(mask.token_key(std::min(token + 8 * (at.g % 4) + 2 * at.t + i, last)), octet) << (8 * i);
  uint32_t kept = 0;
#pragma unroll
  for (int n = 0; n < 4; ++n)
    for (int half = 0; half < 2; ++half) {
      const uint32_t bits = __shfl_sync(kAllLanes, drawn, 4 * (n + 4 * half) + at.t) >> at.g;
      for (int i = 0; i < 2; ++i) kept |= ((bits >> (8 * i)) & 1u) << (4 * n + 2 * half + i);
    }
  return kept;
}

}  // namespace
}  // namespace mpibert::cuda
