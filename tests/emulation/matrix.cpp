// Matrices of a warp, with the layouts of the PTX ISA: "Matrix Fragments for mma.m16n8k16", "Warp-level matrix load instruction: ldmatrix".
// The lane that arrives last does the work of all.

#include <array>
#include <cstring>

#include "tests/emulation/machine.h"
#include "tests/emulation/watch.h"

namespace emulation {
namespace {

struct Mma {
  float* d;
  const uint32_t *a, *b;
  float (*number)(uint16_t);
};
struct LoadMatrix {
  uint32_t* matrices;
  int count;
  bool transposed;
  const std::byte* row;
  const void* pc;
};

template <class Arguments>
std::array<const Arguments*, kWarpLanes> arguments_of_warp(int first) {
  std::array<const Arguments*, kWarpLanes> all{};
  for (size_t lane = 0; lane < all.size(); ++lane)
    all[lane] = reinterpret_cast<const Arguments*>(machine.threads[static_cast<size_t>(first) + lane].value);
  return all;
}

// Sums in fp32, in the order of k; the hardware's order is not documented.
void multiply(int first) {
  const auto lanes = arguments_of_warp<Mma>(first);
  float a[16][16], b[8][16];  // b by columns
  const auto half = [](uint32_t packed, size_t i) { return static_cast<uint16_t>(packed >> (16 * i)); };
  for (size_t lane = 0; lane < lanes.size(); ++lane) {
    const Mma& x = *lanes[lane];
    const size_t group = lane / 4, in_group = lane % 4;
    for (size_t i = 0; i < 8; ++i) {
      const size_t row = i < 2 || (4 <= i && i < 6) ? group : group + 8, column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      a[row][column] = x.number(half(x.a[i / 2], i % 2));
    }
    for (size_t i = 0; i < 4; ++i) b[group][in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0)] = x.number(half(x.b[i / 2], i % 2));
  }
  for (size_t lane = 0; lane < lanes.size(); ++lane)
    for (size_t i = 0; i < 4; ++i) {
      const size_t row = i < 2 ? lane / 4 : lane / 4 + 8, column = lane % 4 * 2 + (i & 1);
      float sum = lanes[lane]->d[i];
      for (size_t k = 0; k < 16; ++k) sum += a[row][k] * b[column][k];
      lanes[lane]->d[i] = sum;
    }
}

void load(int first) {
  const auto lanes = arguments_of_warp<LoadMatrix>(first);
  const int count = lanes[0]->count;
  const auto row_of = [&](int matrix, int row) { return lanes[static_cast<size_t>(8 * matrix + row)]->row; };
  for (int lane = 0; lane < 8 * count; ++lane) {
    become(first + lane);
    const LoadMatrix& x = *lanes[static_cast<size_t>(lane)];
    if (reinterpret_cast<uintptr_t>(x.row) % 16 != 0) {
      report("ldmatrix: misaligned address: expected a row at a multiple of 16 bytes", x.pc);
      abandon();
    }
  }
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    become(first + lane);
    const LoadMatrix& x = *lanes[static_cast<size_t>(lane)];
    const auto read = [&](int matrix, int row, int column) {
      const std::byte* const p = row_of(matrix, row) + 2 * column;
      access_shared(p, 2, false, x.pc);
      uint16_t element;
      std::memcpy(&element, p, sizeof element);
      return uint32_t{element};
    };
    for (int matrix = 0; matrix < count; ++matrix) {
      const int pair = lane % 4 * 2, other = lane / 4;
      x.matrices[matrix] = x.transposed ? read(matrix, pair, other) | read(matrix, pair + 1, other) << 16
                                        : read(matrix, other, pair) | read(matrix, other, pair + 1) << 16;
    }
  }
}

}  // namespace

void matrix_work(WarpOperation operation, int first) { operation == WarpOperation::kMma ? multiply(first) : load(first); }

void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float (*number)(uint16_t), std::source_location where) {
  const Mma arguments = {d, a, b, number};
  warp_meeting(WarpOperation::kMma, 0xffffffffu, reinterpret_cast<uintptr_t>(&arguments), 0, kWarpLanes, where);
}

void ldmatrix(uint32_t* matrices, int count, bool transposed, const void* row, std::source_location where) {
  const LoadMatrix arguments = {matrices, count, transposed, static_cast<const std::byte*>(row), __builtin_return_address(0)};
  warp_meeting(WarpOperation::kLoadMatrix, 0xffffffffu, reinterpret_cast<uintptr_t>(&arguments), 0, kWarpLanes, where);
}

}  // namespace emulation
