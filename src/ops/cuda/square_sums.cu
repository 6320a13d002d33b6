#include <algorithm>

#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/element.h"

namespace mpibert::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kPiece = 16384;  // elements that one block adds up
constexpr int kRangesAtOnce = 120;

int64_t pieces_of(const Range& range) { return (range.end - range.begin + kPiece - 1) / kPiece; }

// Some of the ranges, by value: kernel parameters are limited to 4 KiB, and copying the ranges to the device would need their memory to wait.
struct Ranges {
  int count = 0;
  Range range[kRangesAtOnce];
  int64_t first_piece[kRangesAtOnce + 1] = {};  // of each range among the pieces of these ranges; then the number of pieces
};
static_assert(sizeof(Ranges) + 2 * sizeof(void*) <= 4096);

// Block i adds up piece i. In double no square of a finite float overflows or vanishes.
__global__ void add_pieces(const float* input, Ranges ranges, double* pieces) {
  __shared__ double scratch[kWarp];
  const int64_t piece = blockIdx.x;
  int at = 0;
  while (ranges.first_piece[at + 1] <= piece) ++at;
  const int64_t begin = ranges.range[at].begin + (piece - ranges.first_piece[at]) * kPiece;
  const int64_t end = begin + kPiece < ranges.range[at].end ? begin + kPiece : ranges.range[at].end;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x * kOctet; i < end; i += kThreads * kOctet) {
    const Octet x = load_octet(input + i, octet_size(i, end));
    for (int j = 0; j < kOctet; ++j) sum += static_cast<double>(x[j]) * static_cast<double>(x[j]);
  }
  sum = block_reduce<Sum>(sum, scratch);
  if (threadIdx.x == 0) pieces[piece] = sum;
}

// Block i adds up the pieces of range i.
__global__ void add_ranges(const double* pieces, Ranges ranges, double* output) {
  __shared__ double scratch[kWarp];
  const int range = static_cast<int>(blockIdx.x);
  double sum = 0;
  for (int64_t i = ranges.first_piece[range] + threadIdx.x; i < ranges.first_piece[range + 1]; i += kThreads) sum += pieces[i];
  sum = block_reduce<Sum>(sum, scratch);
  if (threadIdx.x == 0) output[range] = sum;
}

}  // namespace

void square_sums(const SquareSums& op, const Context& context) {
  int64_t most = 0;  // the pieces of all ranges are as many as any part of them needs
  for (const Range& range : op.ranges) most += pieces_of(range);
  double* pieces = context.workspace.get<double>(most);
  for (size_t begin = 0; begin < op.ranges.size(); begin += kRangesAtOnce) {
    Ranges ranges;
    for (const Range& range : op.ranges.subspan(begin, std::min<size_t>(kRangesAtOnce, op.ranges.size() - begin))) {
      ranges.range[ranges.count] = range;
      ranges.first_piece[ranges.count + 1] = ranges.first_piece[ranges.count] + pieces_of(range);
      ++ranges.count;
    }
    const LaunchShape piece_a_block = {.grid = static_cast<unsigned>(ranges.first_piece[ranges.count]), .block = kThreads};
    launch(piece_a_block, context.stream, add_pieces, data<const float>(op.input), ranges, pieces);
    const LaunchShape range_a_block = {.grid = static_cast<unsigned>(ranges.count), .block = kThreads};
    launch(range_a_block, context.stream, add_ranges, static_cast<const double*>(pieces), ranges, data<double>(op.output) + begin);
  }
}

}  // namespace mpibert::cuda
