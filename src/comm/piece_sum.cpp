#include "comm/piece_sum.h"

#include <algorithm>
#include <array>
#include <bit>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

// Partial sums of a block stay in the nearest cache, so memory sees every operand read once and the sum written once. A tree of n operands
// needs about log2(n) of them at a time.
constexpr int64_t kBlock = 1024;
constexpr int kTemporaries = 24;

}  // namespace

PieceSum::PieceSum(int operands, const std::vector<SlotMerge>& merges) : operands_(operands) {
  MPIBERT_ASSERT(operands >= 1 && static_cast<size_t>(operands) == merges.size() + 1);
  std::vector<int> place(static_cast<size_t>(operands));  // where the sum of each operand is now
  for (int i = 0; i < operands; ++i) place[static_cast<size_t>(i)] = i;
  uint32_t used = 0;  // bit t: temporary t holds a partial sum
  for (const SlotMerge& merge : merges) {
    const int left = place.at(static_cast<size_t>(merge.into)), right = place.at(static_cast<size_t>(merge.from));
    for (const int side : {left, right}) {
      if (side >= operands) used &= ~(1u << (side - operands));
    }
    const int free = std::countr_one(used);
    MPIBERT_ASSERT(free < kTemporaries);
    used |= 1u << free;
    place[static_cast<size_t>(merge.into)] = operands + free;
    steps_.push_back({left, right, operands + free});
  }
}

void PieceSum::add(std::span<const float* const> operands, int64_t n, float* sum) const {
  MPIBERT_ASSERT(operands.size() == static_cast<size_t>(operands_));
  if (steps_.empty()) {
    if (operands[0] != sum) std::copy_n(operands[0], n, sum);
    return;
  }
#pragma omp parallel for schedule(static) if (n >= 64 * kBlock)
  for (int64_t begin = 0; begin < n; begin += kBlock) add_block(operands, begin, std::min(begin + kBlock, n), sum);
}

void PieceSum::add_block(std::span<const float* const> operands, int64_t begin, int64_t end, float* sum) const {
  alignas(64) std::array<std::array<float, kBlock>, kTemporaries> temporaries;  // not cleared: each is written before it is read
  const auto read = [&](int place) -> const float* {
    if (place < operands_) return operands[static_cast<size_t>(place)] + begin;
    return temporaries[static_cast<size_t>(place - operands_)].data();
  };
  for (const Step& step : steps_) {
    const float* left = read(step.left);
    const float* right = read(step.right);
    float* out = &step == &steps_.back() ? sum + begin : temporaries[static_cast<size_t>(step.out - operands_)].data();
#pragma omp simd
    for (int64_t i = 0; i < end - begin; ++i) out[i] = left[i] + right[i];
  }
}

}  // namespace mpibert
