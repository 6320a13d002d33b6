#include "mpibert/comm/gradient_reducer.h"

#include <algorithm>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

int64_t multiple_for(int ranks) {
  MPIBERT_CHECK(ranks >= 1, kInvalidArgument, "the number of ranks must be at least 1, not ", ranks);
  return kPieceMultiple * ranks;
}

void check_layout(int64_t padded, int64_t bucket, int ranks) {
  const int64_t multiple = multiple_for(ranks);
  MPIBERT_CHECK(padded > 0 && padded % multiple == 0, kInvalidArgument, "a flat buffer of ", padded, " elements is not a multiple of ",
                multiple, " (", kPieceMultiple, " x ", ranks, " ranks): use padded_size()");
  MPIBERT_CHECK(bucket > 0 && bucket % multiple == 0, kInvalidArgument, "a bucket of ", bucket, " elements is not a multiple of ", multiple,
                " (", kPieceMultiple, " x ", ranks, " ranks): use bucket_size()");
}

}  // namespace

int64_t padded_size(int64_t n, int ranks) {
  const int64_t multiple = multiple_for(ranks);
  MPIBERT_CHECK(n >= 0, kInvalidArgument, "a flat buffer cannot have ", n, " elements");
  return std::max<int64_t>(1, (n + multiple - 1) / multiple) * multiple;
}

int64_t bucket_size(int64_t mib, int64_t n, int ranks) {
  constexpr int64_t kElementsPerMib = 1024 * 1024 / sizeof(float);
  MPIBERT_CHECK(mib >= 1, kInvalidArgument, "bucket_mib must be at least 1, not ", mib);
  const int64_t padded = padded_size(n, ranks);
  const int64_t multiple = multiple_for(ranks);
  if (mib >= padded / kElementsPerMib + 1) return padded;
  return std::clamp(mib * kElementsPerMib / multiple * multiple, multiple, padded);
}

std::vector<OwnedPiece> owned_pieces(int64_t padded, int64_t bucket, int rank, int ranks) {
  check_layout(padded, bucket, ranks);
  MPIBERT_CHECK(rank >= 0 && rank < ranks, kInvalidArgument, "rank ", rank, " is not one of ", ranks, " ranks");
  std::vector<OwnedPiece> pieces;
  for (int64_t end = padded; end > 0; end -= bucket) {
    const int64_t begin = std::max<int64_t>(0, end - bucket);
    const int64_t piece = (end - begin) / ranks;
    pieces.push_back({.begin = begin + rank * piece, .end = begin + (rank + 1) * piece, .local = begin / ranks});
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

GradientReducer::GradientReducer(Communicator& comm, const Tensor& owned, int64_t bucket_elements, Reduction reduction)
    : comm_(comm), owned_(owned), bucket_(bucket_elements), reduction_(reduction), size_(owned.size() * comm.size()) {
  check_layout(size_, bucket_, comm_.size());
  MPIBERT_CHECK(owned_.dtype() == DType::kFloat32, kInvalidArgument, "the sums of gradients are fp32, not ", name_of(owned_.dtype()));
}

void GradientReducer::begin(std::vector<Tensor> subtrees, BeforeBucket before_bucket) {
  MPIBERT_CHECK(!open_, kInvalidArgument, "the gradient reducer was begun twice without finish()");
  MPIBERT_CHECK(!subtrees.empty(), kInvalidArgument, "the gradient reducer needs at least one gradient");
  for (const Tensor& subtree : subtrees) {
    MPIBERT_CHECK(subtree.size() == size_ && subtree.dtype() == DType::kFloat32, kInvalidArgument, "a flat gradient must be fp32 [", size_,
                  "], not ", name_of(subtree.dtype()), " ", subtree.shape().text());
  }
  subtrees_ = std::move(subtrees);
  before_bucket_ = std::move(before_bucket);
  end_ = size_;
  open_ = true;
}

void GradientReducer::ready_from(int64_t offset) {
  MPIBERT_CHECK(open_, kInvalidArgument, "gradients are ready before the gradient reducer was begun");
  while (end_ - bucket_ >= std::max<int64_t>(0, offset)) start(end_ - bucket_);
  comm_.progress();
}

void GradientReducer::progress() { comm_.progress(); }

void GradientReducer::finish() {
  MPIBERT_CHECK(open_, kInvalidArgument, "the gradient reducer was finished before it was begun");
  while (end_ > 0) start(std::max<int64_t>(0, end_ - bucket_));
  comm_.join();
  subtrees_.clear();
  before_bucket_ = {};
  open_ = false;
}

void GradientReducer::start(int64_t begin) {
  if (before_bucket_) before_bucket_(begin, end_);
  std::vector<Tensor> ranges;
  for (const Tensor& subtree : subtrees_) ranges.push_back(subtree.elements(begin, end_));
  const int ranks = comm_.size();
  comm_.reduce_scatter(ranges, owned_.elements(begin / ranks, end_ / ranks), reduction_, "gradients");
  end_ = begin;
}

void GradientReducer::publish(const Tensor& values) {
  MPIBERT_CHECK(values.size() == size_, kInvalidArgument, "flat values must be [", size_, "], not ", values.shape().text());
  for (const OwnedPiece& piece : owned_pieces(size_, bucket_, comm_.rank(), comm_.size())) {
    const int64_t begin = piece.local * comm_.size();
    const int64_t end = begin + (piece.end - piece.begin) * comm_.size();
    comm_.all_gather(values.elements(piece.begin, piece.end), values.elements(begin, end), "parameters");
  }
  comm_.join();
}

}  // namespace mpibert
