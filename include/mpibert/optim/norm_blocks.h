#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "mpibert/nn/parameter_arena.h"

namespace mpibert {

// A range of the flat parameters that this rank owns, and where it lies in the rank's own compact buffers (gradient, moments, masters).
// begin and end are multiples of NormBlocks::kBlock, or the end of the padded parameters. Pieces of a rank ascend and do not overlap.
struct Piece {
  int64_t begin = 0, end = 0, local = 0;
};
int64_t owned_size(std::span<const Piece> pieces);  // elements of a compact buffer

// Adds [n] fp64 of the backend's device over all ranks, in place; every rank calls it. Empty: there is one rank.
using SumOverRanks = std::function<void(const Tensor& numbers)>;

// Norms with the same bits for any number of ranks. The flat parameters are cut at every multiple of kBlock and at every parameter's ends
// into cells; the owner of a cell sums its squares in double, every other rank has 0 for it, so that adding over ranks is exact in any
// order; then cells are added in an order of their own (Backend::step_decision, trust_ratios).
//
//   blocks.squares(backend, gradient, cells);
//   if (sum) sum(cells);
class NormBlocks {
 public:
  static constexpr int64_t kBlock = 4096;

  // Allocates device memory for the list of cells. Throws kInvalidArgument on a piece with wrong boundaries.
  NormBlocks(Backend& backend, std::vector<Segment> segments, std::span<const Piece> pieces);

  int64_t count() const { return count_; }                                  // cells of all ranks
  const std::vector<int64_t>& first_cells() const { return first_cells_; }  // of each segment; then count()

  // Sums of squares of a compact [owned size] fp32 buffer.   cells [count()] fp64: 0 where another rank owns and where a parameter is
  // frozen
  void squares(Backend& backend, const Tensor& owned, const Tensor& cells) const;

 private:
  std::vector<int64_t> first_cells_;
  int64_t count_ = 0;
  Buffer ranges_;  // of all cells, in the compact buffer; empty ones of cells that others own and of frozen parameters
};

}  // namespace mpibert
