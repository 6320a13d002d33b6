#include "mpibert/optim/norm_blocks.h"

#include <algorithm>

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

int64_t cells_before(int64_t begin,
                     int64_t offset) {  // how many whole cells of a range from `begin` lie before `offset`, a multiple of kBlock
  return offset <= begin ? 0 : offset / NormBlocks::kBlock - begin / NormBlocks::kBlock;
}

void check_pieces(std::span<const Piece> pieces, int64_t end_of_parameters) {
  int64_t previous = 0;
  for (const Piece& p : pieces) {
    const bool whole = p.begin % NormBlocks::kBlock == 0 && (p.end % NormBlocks::kBlock == 0 || p.end >= end_of_parameters);
    MPIBERT_CHECK(whole && p.begin >= previous && p.end >= p.begin && p.local >= 0, kInvalidArgument, "piece [", p.begin, ", ", p.end,
                  ") at ", p.local, ": expected ascending multiples of ", NormBlocks::kBlock);
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
  for (const Segment& s : segments) {
    first_cells_.push_back(count_);
    for_each_cell(s.begin, s.end, [&](int64_t, int64_t) { ++count_; });
  }
  first_cells_.push_back(count_);
  std::vector<Range> ranges(static_cast<size_t>(count_));
  for (size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].rate == 0) continue;
    for (const Piece& p : pieces) {
      const int64_t begin = std::max(segments[i].begin, p.begin), end = std::min(segments[i].end, p.end);
      int64_t cell = first_cells_[i] + cells_before(segments[i].begin, begin);
      for_each_cell(begin, end, [&](int64_t from, int64_t to) {
        ranges[static_cast<size_t>(cell++)] = {p.local + from - p.begin, p.local + to - p.begin};
      });
    }
  }
  const Shape bytes{static_cast<int64_t>(ranges.size() * sizeof(Range))};
  ranges_ = backend.allocate(static_cast<size_t>(bytes.size()));
  if (count_ > 0) backend.upload(Tensor(ranges.data(), DType::kUInt8, bytes), ranges_.view(DType::kUInt8, bytes));
}

void NormBlocks::squares(Backend& backend, const Tensor& owned, const Tensor& cells) const {
  backend.square_sums(
      {.input = owned, .ranges = ranges_.view(DType::kUInt8, {count_ * static_cast<int64_t>(sizeof(Range))}), .output = cells});
}

}  // namespace mpibert
