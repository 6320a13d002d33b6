#include <span>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

constexpr int64_t kBlock = 16384;

int64_t blocks_of(const Range& range) { return (range.end - range.begin + kBlock - 1) / kBlock; }

// In double no square of a finite float overflows or vanishes.
double square_sum(const float* x, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum) simdlen(32)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace

void square_sums(const SquareSums& op, Workspace& workspace) {
  const std::span ranges(data<Range>(op.ranges), static_cast<size_t>(op.ranges.size()) / sizeof(Range));
  struct Block {
    int64_t begin, end;
    double sum;
  };
  int64_t count = 0, elements = 0;
  for (const Range& range : ranges) {
    count += blocks_of(range);
    elements += range.end - range.begin;
  }
  auto* blocks = workspace.get<Block>(count);
  int64_t next = 0;
  for (const Range& range : ranges)
    for (int64_t begin = range.begin; begin < range.end; begin += kBlock) blocks[next++] = {begin, std::min(begin + kBlock, range.end), 0};

  const float* input = data<float>(op.input);
  const int64_t blocks_in_all = next;
#pragma omp parallel for schedule(static) if (elements > kSerialElements)
  for (int64_t i = 0; i < blocks_in_all; ++i) blocks[i].sum = square_sum(input + blocks[i].begin, blocks[i].end - blocks[i].begin);

  auto* output = data<double>(op.output);
  const Block* block = blocks;
  for (const Range& range : ranges) {
    double sum = 0;
    for (int64_t i = 0; i < blocks_of(range); ++i) sum += (block++)->sum;
    *output++ = sum;
  }
}

}  // namespace mpibert::cpu
