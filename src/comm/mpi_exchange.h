#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/mpi_collective.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Pieces straight from every rank to every other.
class AllGather : public StartedCollective {
 public:
  AllGather(const MpiGroup& group, const Announcement& mine, const Tensor& piece, const Tensor& all)
      : StartedCollective(group, mine), piece_(piece), all_(all) {}
  void start() override;

 private:
  Tensor piece_, all_;
};

// Every rank's bytes to all, or to one.
class MpiExchange : public WaitingCollective {
 public:
  static constexpr int kAll = -1;
  MpiExchange(const MpiGroup& group, Announcement mine, std::span<const std::byte> payload, int root = kAll);
  void start() override;
  std::vector<std::vector<std::byte>>& contributions() {
    return contributions_;
  }  // in order of rank; empty where this rank is not the root

 private:
  void heard_from(int peer) override;
  bool receives(int rank) const { return root_ == kAll || root_ == rank; }

  std::span<const std::byte> payload_;
  int root_;
  std::vector<std::vector<std::byte>> contributions_;
};

class Broadcast : public WaitingCollective {
 public:
  Broadcast(const MpiGroup& group, const Announcement& mine, const Tensor& tensor, int root)
      : WaitingCollective(group, mine), tensor_(tensor), root_(root) {}

 private:
  void all_announced() override;

  Tensor tensor_;
  int root_;
};

}  // namespace mpibert
