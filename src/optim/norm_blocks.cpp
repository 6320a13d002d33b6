#include "mpibert/optim/norm_blocks.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

// Calls visit(begin, end) for every cell of a range.
template <class Visit>
void for_each_cell(int64_t begin, int64_t end, const Visit& visit) {
  while (begin < end) {
    const int64_t next = std::min(end, (begin / NormBlocks::kBlock + 1) * NormBlocks::kBlock);
    visit(begin, next);
    begin = next;
  }
}

int64_t cells_before(int64_t begin, int64_t offset) {  // how many whole cells of a range from `begin` lie before `offset`, a multiple of kBlock
  return offset <= begin ? 0 : offset / NormBlocks::kBlock - begin / NormBlocks::kBlock;
}

void check_pieces(std::span<const Piece> pieces, int64_t end_of_parameters) {
  int64_t previous = 0;
  for (const Piece& p : pieces) {
    const bool whole = p.begin % NormBlocks::kBlock == 0 && (p.end % NormBlocks::kBlock == 0 || p.end >= end_of_parameters);
    MPIBERT_CHECK(whole && p.begin >= previous && p.end >= p.begin && p.local >= 0, kInvalidArgument, "piece [", p.begin, ", ", p.end, ") at ", p.local,
                  ": expected ascending multiples of ", NormBlocks::kBlock);
    previous = p.end;
  }
}

}  // namespace

int64_t owned_size(std::span<const Piece> pieces) {
  int64_t size = 0;
  for (const Piece& p : pieces) size = std::max(size, p.local + p.end - p.begin);
  return size;
}

NormBlocks::NormBlocks(Backend& backend, std::vector<Segment> segments, std::span<const Piece> pieces) {
  check_pieces(pieces, segments.empty() ? 0 : segments.back().end);
  std::vector<Range> owned;  // in the compact buffer
  for (const Segment& s : segments) {
    first_cell_.push_back(count_);
    for (const Piece& p : pieces) {
      const int64_t begin = std::max(s.begin, p.begin), end = std::min(s.end, p.end);
      int64_t cell = count_ + cells_before(s.begin, begin);
      for_each_cell(begin, end, [&](int64_t from, int64_t to) {
        owned.push_back({p.local + from - p.begin, p.local + to - p.begin});
        owned_index_.push_back(cell++);
      });
    }
    for_each_cell(s.begin, s.end, [&](int64_t, int64_t) { ++count_; });
  }
  first_cell_.push_back(count_);
  sums_ = backend.allocate(std::max<size_t>(1, owned.size()) * sizeof(double));
  ranges_ = backend.allocate(std::max<size_t>(1, owned.size()) * sizeof(Range));
  const Shape bytes{static_cast<int64_t>(owned.size() * sizeof(Range))};
  if (!owned.empty()) backend.upload(Tensor(owned.data(), DType::kUInt8, bytes), ranges_.view(DType::kUInt8, bytes));
}

void NormBlocks::own_cells(Backend& backend, const Tensor& owned, std::span<double> all) const {
  MPIBERT_CHECK(static_cast<int64_t>(all.size()) == count_, kInvalidArgument, "room for ", all.size(), " cells of ", count_);
  if (owned_index_.empty()) return;
  const Shape bytes{static_cast<int64_t>(owned_index_.size() * sizeof(double))};
  const Tensor sums = sums_.view(DType::kUInt8, bytes);
  backend.square_sums({.input = owned, .ranges = ranges_.view(DType::kUInt8, {static_cast<int64_t>(owned_index_.size() * sizeof(Range))}), .output = sums});
  std::vector<double> mine(owned_index_.size());
  backend.download(sums, Tensor(mine.data(), DType::kUInt8, bytes));
  for (size_t i = 0; i < mine.size(); ++i) all[static_cast<size_t>(owned_index_[i])] += mine[i];
}

std::vector<double> NormBlocks::cells(Backend& backend, const Tensor& owned, const SumOverRanks& sum) const {
  std::vector<double> all(static_cast<size_t>(count_));
  own_cells(backend, owned, all);
  if (sum) sum(all);
  return all;
}

std::vector<double> NormBlocks::per_parameter(std::span<const double> cells) const {
  std::vector<double> sums;
  for (size_t s = 0; s + 1 < first_cell_.size(); ++s)
    sums.push_back(total(cells.subspan(static_cast<size_t>(first_cell_[s]), static_cast<size_t>(first_cell_[s + 1] - first_cell_[s]))));
  return sums;
}

double NormBlocks::total(std::span<const double> cells) { return std::accumulate(cells.begin(), cells.end(), 0.0); }

double clip_scale(double norm, double max_norm) { return max_norm > 0 && norm > max_norm ? max_norm / norm : 1; }

}  // namespace mpibert
