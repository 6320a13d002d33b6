#include "comm/mpi_reduce_scatter.h"

#include <algorithm>
#include <utility>

#include "comm/mpi_check.h"

namespace mpibert {
namespace {

std::vector<int> first_operands(int64_t slots, int ranks) {
  std::vector<int> first = {0};
  for (int rank = 0; rank < ranks; ++rank) first.push_back(first.back() + static_cast<int>(subtrees_of_rank(slots, ranks, rank).size()));
  return first;
}

}  // namespace

SlotOperands::SlotOperands(int64_t slots, int ranks)
    : first(first_operands(slots, ranks)), sum(first.back(), combine_order(slots, ranks)) {}

ExactReduceScatter::ExactReduceScatter(const MpiGroup& group, const Announcement& mine, const SlotOperands& operands, StagingPool& pool,
                                       size_t segment_bytes, std::span<const Tensor> subtrees, const Tensor& piece)
    : StartedCollective(group, mine),
      operands_(operands),
      pool_(pool),
      subtrees_(subtrees.begin(), subtrees.end()),
      piece_(piece),
      segment_size_(std::max<int64_t>(1, static_cast<int64_t>(segment_bytes / sizeof(float)))),
      segments_(static_cast<int>((piece.size() + segment_size_ - 1) / segment_size_)) {}

ExactReduceScatter::~ExactReduceScatter() { pool_.give_back(std::move(staging_)); }

std::span<float> ExactReduceScatter::segment_of(float* piece, int segment) const {
  const int64_t begin = segment * segment_size_;
  return {piece + begin, static_cast<size_t>(std::min(segment_size_, piece_.size() - begin))};
}

void ExactReduceScatter::start() {
  started_ = true;
  const auto owned = static_cast<size_t>(piece_.size());
  const auto all = static_cast<size_t>(operands_.sum.operands());
  staging_ = pool_.take((all - subtrees_.size()) * owned);
  float* next = staging_.memory.get();
  for (int rank = 0; rank < group_.size; ++rank) {
    for (int i = operands_.first[static_cast<size_t>(rank)]; i < operands_.first[static_cast<size_t>(rank) + 1]; ++i) {
      if (rank == group_.rank) {
        sources_.push_back(
            subtrees_[sources_.size() - static_cast<size_t>(operands_.first[static_cast<size_t>(rank)])].span<float>().data() +
            static_cast<size_t>(rank) * owned);
      } else {
        sources_.push_back(next);
        next += owned;
      }
    }
  }
  open_.assign(static_cast<size_t>(segments_), 0);
  for (int segment = 0; segment < segments_; ++segment) receive_segment(segment);
  for (int segment = 0; segment < segments_; ++segment) send_segment(segment);
  if (group_.size == 1) {
    for (int segment = 0; segment < segments_; ++segment) add_segment(segment);
  }
}

// Partners at distance 1, 2, ...: no owner is flooded by all at once.
void ExactReduceScatter::receive_segment(int segment) {
  for (int distance = 1; distance < group_.size; ++distance) {
    const int peer = (group_.rank + group_.size - distance) % group_.size;
    for (int i = operands_.first[static_cast<size_t>(peer)]; i < operands_.first[static_cast<size_t>(peer) + 1]; ++i) {
      const size_t at = static_cast<size_t>(sources_[static_cast<size_t>(i)] - staging_.memory.get());
      const std::span<float> part = segment_of(staging_.memory.get() + at, segment);
      open_[static_cast<size_t>(segment)] += requests_.receive(std::as_writable_bytes(part), peer, mine_.tag(), segment);
    }
  }
}

void ExactReduceScatter::send_segment(int segment) {
  for (int distance = 1; distance < group_.size; ++distance) {
    const int peer = (group_.rank + distance) % group_.size;
    for (const Tensor& subtree : subtrees_) {
      const Tensor theirs = subtree.elements(peer * piece_.size(), (peer + 1) * piece_.size());
      requests_.send(std::as_bytes(segment_of(theirs.span<float>().data(), segment)), peer, mine_.tag());
    }
  }
}

void ExactReduceScatter::arrived(int id) {
  if (--open_[static_cast<size_t>(id)] == 0) add_segment(id);
}

void ExactReduceScatter::add_segment(int segment) {
  const std::span<float> sum = segment_of(piece_.span<float>().data(), segment);
  std::vector<const float*> parts = sources_;
  for (const float*& part : parts) part += segment * segment_size_;
  operands_.sum.add(parts, static_cast<int64_t>(sum.size()), sum.data());
}

void FastReduceScatter::start() {
  started_ = true;
  const int64_t owned = piece_.size();
  const auto most = static_cast<int64_t>(group_.max_message_bytes / sizeof(float));
  MPI_Request request = MPI_REQUEST_NULL;
  if (owned <= most) {
    MPIBERT_MPI_CHECK(
        MPI_Ireduce_scatter_block(whole_.data(), piece_.data(), static_cast<int>(owned), MPI_FLOAT, MPI_SUM, group_.comm, &request));
    requests_.add(request);
    return;
  }
  // Too large for one count: parts of pieces are not contiguous, so each goes to its owner by a reduction of its own.
  for (int owner = 0; owner < group_.size; ++owner) {
    for (int64_t begin = 0; begin < owned; begin += most) {
      const int64_t end = std::min(owned, begin + most);
      MPIBERT_MPI_CHECK(MPI_Ireduce(whole_.elements(owner * owned + begin, owner * owned + end).data(), piece_.elements(begin, end).data(),
                                    static_cast<int>(end - begin), MPI_FLOAT, MPI_SUM, owner, group_.comm, &request));
      requests_.add(request);
    }
  }
}

}  // namespace mpibert
