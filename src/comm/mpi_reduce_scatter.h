#pragma once

#include <vector>

#include "comm/mpi_collective.h"
#include "comm/piece_sum.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Which operands of the slot tree each rank sends: [first[r], first[r + 1]) for rank r.
struct SlotOperands {
  SlotOperands(int64_t slots, int ranks);
  std::vector<int> first;
  PieceSum sum;
};

// Every rank sends each owner its part of each subtree; the owner adds them in the order of the slot tree, segment by segment, as soon as
// all of a segment is there (and still in the cache).
class ExactReduceScatter : public StartedCollective {
 public:
  ExactReduceScatter(const MpiGroup& group, const Announcement& mine, const SlotOperands& operands, StagingPool& pool, size_t segment_bytes,
                     std::span<const Tensor> subtrees, const Tensor& piece);
  ~ExactReduceScatter() override;
  void start() override;

 private:
  void receive_segment(int segment);
  void send_segment(int segment);
  void add_segment(int segment);
  void arrived(int id) override;
  std::span<float> segment_of(float* piece, int segment) const;

  const SlotOperands& operands_;
  StagingPool& pool_;
  StagingPool::Block staging_;
  std::vector<Tensor> subtrees_;
  Tensor piece_;
  int64_t segment_size_;
  int segments_;
  std::vector<const float*> sources_;  // of each operand, the part that this rank owns
  std::vector<int> open_;              // messages of each segment that have not arrived
};

// The library's own, in its order.
class FastReduceScatter : public StartedCollective {
 public:
  FastReduceScatter(const MpiGroup& group, const Announcement& mine, const Tensor& whole, const Tensor& piece)
      : StartedCollective(group, mine), whole_(whole), piece_(piece) {}
  void start() override;

 private:
  Tensor whole_, piece_;
};

}  // namespace mpibert
