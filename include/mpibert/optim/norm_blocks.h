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

// Adds numbers over all ranks, in place; every rank calls it. Empty: there is one rank.
using SumOverRanks = std::function<void(std::span<double>)>;

// Norms with the same bits for any number of ranks. The flat parameters are cut at every multiple of kBlock and at every parameter's ends into
// cells; the owner of a cell sums its squares in double, every other rank has 0 for it, so that adding over ranks is exact in any order; then
// cells are added in their order.
//
//   const std::vector<double> cells = blocks.cells(backend, gradient, sum);
//   const double norm = std::sqrt(NormBlocks::total(cells));
class NormBlocks {
 public:
  static constexpr int64_t kBlock = 4096;

  // Allocates device memory for the owned cells' sums. Throws kInvalidArgument on a piece with wrong boundaries.
  NormBlocks(Backend& backend, std::vector<Segment> segments, std::span<const Piece> pieces);

  int64_t count() const { return count_; }  // cells of all ranks
  // Sums of squares of a compact [owned size] fp32 buffer, one for each of count() cells. Waits for the device and for the other ranks.
  std::vector<double> cells(Backend& backend, const Tensor& owned, const SumOverRanks& sum) const;
  // The same without the exchange, added into `all` [count()]: several such arrays then travel in one collective.
  void own_cells(Backend& backend, const Tensor& owned, std::span<double> all) const;

  std::vector<double> per_parameter(std::span<const double> cells) const;  // in the order of the segments
  static double total(std::span<const double> cells);

 private:
  std::vector<int64_t> owned_index_;   // the cell of each owned range
  std::vector<int64_t> first_cell_;    // of each segment; one more at the end
  int64_t count_ = 0;
  Buffer ranges_, sums_;  // of the owned cells, in the compact buffer
};

// What gradients are multiplied with so that their norm is at most max_norm: min(1, max_norm / norm). 1 where max_norm <= 0: no clipping.
double clip_scale(double norm, double max_norm);

}  // namespace mpibert
