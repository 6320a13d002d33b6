#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert {

enum class ReduceOp : uint8_t { kSum, kMax, kMin };
enum class Reduction : uint8_t { kExact, kFast };

// All ranks of one job. Every function is collective: all ranks call it, in the same order, with equal shapes, from one thread.
// `what` names the collective in errors. A collective that does not finish within the timeout throws kCommunication on every rank that
// notices, naming it, its number and the ranks that are missing; main then aborts the job.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual int local_rank() const = 0;  // among the ranks of this host
  virtual int local_size() const = 0;

  // Started only; the result is there after wait(). Range n is cut into size() equal pieces; piece r of the sum goes to rank r.
  // `subtrees` are this rank's summed slots, one [n] fp32 tensor for each complete subtree, in slot order (see comm/slot_tree.h).
  // kExact: the owner adds the pieces in the order of the slot tree. kFast: one tensor, the library's order.
  // piece overlaps no subtree.
  virtual void reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, std::string_view what) = 0;
  // Started only. all [size * n] gets every rank's piece [n], in order of rank; piece may be the rank's own part of all.
  virtual void all_gather(const Tensor& piece, const Tensor& all, std::string_view what) = 0;
  // Started only. numbers [n] fp64, in place: sums over the ranks, added in any order: exact where at most one rank has other than 0.
  virtual void sum(const Tensor& numbers, std::string_view what) = 0;
  // Lets started collectives proceed, and throws if one has failed or takes too long; called between the layers of backward. Never waits.
  virtual void progress() = 0;
  // What the backend queues from now on comes after everything that was started. The host waits only where cards are not joined directly.
  virtual void join() = 0;
  // Waits for everything that was started.
  virtual void wait() = 0;

  // These wait. Few numbers: int64 sums are exact in any order; doubles are added in order of rank. A NaN of
  // any rank makes sum, maximum and minimum NaN.
  virtual void all_reduce(std::span<int64_t> numbers, ReduceOp op, std::string_view what) = 0;
  virtual void all_reduce(std::span<double> numbers, ReduceOp op, std::string_view what) = 0;
  virtual void broadcast(const Tensor& t, int root, std::string_view what) = 0;
  virtual void barrier(std::string_view what) = 0;
  // Every rank's bytes, of any length, in order of rank. gather: on `root` only, elsewhere empty.
  virtual std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte> mine, int root, std::string_view what) = 0;
  virtual std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> mine, std::string_view what) = 0;

  // Number of slots of the run, which fixes the slot tree; set before the first exact reduce_scatter. Throws kInvalidArgument if < size().
  virtual void set_slots(int64_t slots) = 0;

  // How tensors of the backend's device travel, for the log: "NCCL 2.28.9".
  virtual std::string transport() const = 0;
};

// How tensors of a CUDA device travel. kAuto: over NCCL where this build has it and every rank a card of its own, else kMpi, through the
// host's memory.
enum class Transport : uint8_t { kAuto, kNccl, kMpi };

// MPI must have been started (MPI_Init_thread); a program started without mpirun is a job of one rank. Host tensors go over MPI.
// Throws kCommunication, and kDevice where NCCL is asked for and cannot serve.
std::unique_ptr<Communicator> make_communicator(Backend& backend, std::chrono::milliseconds timeout,
                                                Transport transport = Transport::kAuto);

std::string nccl_version();  // "2.28.9", or "not built in"

// The number of this rank among those of its host, which says what device it takes. Collective; by MPI, because launchers' variables can be
// wrong.
int local_rank_of_this_process();

}  // namespace mpibert
