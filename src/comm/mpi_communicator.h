#pragma once

#include <mpi.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "comm/mpi_collective.h"
#include "comm/mpi_reduce_scatter.h"
#include "mpibert/comm/communicator.h"

namespace mpibert {

struct MpiOptions {
  std::chrono::milliseconds timeout{600'000};  // without any message, while waiting
  size_t segment_bytes = size_t{1} << 18;  // an exact reduction adds piecewise: small enough to add in the cache, large enough to send well
  size_t max_message_bytes = size_t{1} << 30;  // of one MPI call: its counts are int; an Announcement at least
  int max_reductions = 4;                      // exact ones at a time: bounds the staging memory to as many buckets
};

// Host tensors over MPI. Everything is non-blocking calls and tests of them, so that each wait has an end.
class MpiCommunicator : public Communicator {
 public:
  // Collective over parent, which it duplicates. Throws kCommunication.
  MpiCommunicator(MPI_Comm parent, const MpiOptions& options);
  ~MpiCommunicator() override;

  int rank() const override { return group_.rank; }
  int size() const override { return group_.size; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }

  void reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, std::string_view what) override;
  void all_gather(const Tensor& piece, const Tensor& all, std::string_view what) override;
  void sum(const Tensor& numbers, std::string_view what) override;
  void progress() override;
  void join() override { wait(); }
  void wait() override;
  void all_reduce(std::span<int64_t> numbers, ReduceOp op, std::string_view what) override;
  void all_reduce(std::span<double> numbers, ReduceOp op, std::string_view what) override;
  void broadcast(const Tensor& t, int root, std::string_view what) override;
  void barrier(std::string_view what) override;
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte> mine, int root, std::string_view what) override;
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> mine, std::string_view what) override;
  void set_slots(int64_t slots) override;
  std::string transport() const override { return "MPI"; }

  // For a communicator that carries tensors of a device another way.

  // Throw kInvalidArgument unless these are this rank's arguments of the collective, on `device`.
  void check_reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, Device device,
                            std::string_view what) const;
  void check_all_gather(const Tensor& piece, const Tensor& all, Device device, std::string_view what) const;
  void check_sum(const Tensor& numbers, Device device, std::string_view what) const;
  void check_broadcast(const Tensor& t, int root, Device device, std::string_view what) const;
  // Tells the others of a collective that goes another way: ranks that are in different ones notice, as everywhere. Started only.
  Announcement announce(CollectiveKind kind, size_t bytes, int64_t detail, std::string_view what);
  std::vector<int> missing() const;   // neighbours whose word of a started collective has not come
  int host() const { return host_; }  // the first rank of this host: a number for the host
  int64_t slots() const { return slots_; }
  const SlotOperands& operands() const { return *operands_; }  // after set_slots()

 private:
  template <class Number>
  void reduce_numbers(std::span<Number> numbers, ReduceOp op, std::string_view what);
  std::vector<std::vector<std::byte>> exchange(const Announcement& mine, std::span<const std::byte> payload, int root);

  Announcement announcement(CollectiveKind kind, size_t bytes, int64_t detail, std::string_view what);
  void check_root(int root, std::string_view what) const;
  size_t subtrees_of_this_rank() const;
  void begin(std::unique_ptr<MpiCollective> collective);
  std::unique_ptr<MpiCollective> run(std::unique_ptr<MpiCollective> collective);  // waits
  void keep_unfinished();
  size_t advance_all();
  void poll_until(const std::function<bool()>& done, const std::function<const MpiCollective&()>& awaited);
  void guarded(const std::function<void()>& work);  // after a failure nothing works any more
  void duplicate(MPI_Comm parent);
  void find_local_ranks();

  MpiOptions options_;
  MpiGroup group_;
  int host_ = 0, local_rank_ = 0, local_size_ = 1;
  int64_t number_ = 0;
  int64_t slots_ = 0;
  std::shared_ptr<const SlotOperands> operands_;
  StagingPool pool_;
  std::deque<std::unique_ptr<MpiCollective>> started_;  // in the order of the calls
  std::unique_ptr<MpiCollective> waited_;
  std::string failure_;
};

}  // namespace mpibert
