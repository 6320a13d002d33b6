#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/cuda/node_reduction.h"
#include "comm/mpi_communicator.h"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/event.h"

namespace mpibert::cuda {

// Tensors of the backend's device over NCCL, on a stream of their own beside the backend's; everything else over MPI.
//
// Exact reductions: every rank sends each owner its piece of each of its subtrees, all in one group; the owner adds what has come in the
// order of the slot tree (tree_sum), so that the bits are those of MpiCommunicator; on several nodes with as many ranks each, first inside
// them (NodeReduction). The collectives of the stream run one after another: one staging memory serves all.
//
// The communicator is non-blocking: every wait is a loop that also asks NCCL for asynchronous errors and MPI for the word of the neighbour,
// and has an end. NCCL itself hangs where ranks disagree; so each collective is announced over MPI as MpiCommunicator's are. After a
// failure, whatever its cause, NCCL's communicator is aborted at once, since freeing device memory waits for what runs there. Source: NCCL
// user guide, "Fault Tolerance" and "Group Calls".
class NcclCommunicator final : public Communicator {
 public:
  // Collective over the ranks of host. The backend must outlive it. ranks_per_node: 0 finds the nodes itself. Throws kCommunication.
  NcclCommunicator(Backend& backend, std::unique_ptr<MpiCommunicator> host, std::chrono::milliseconds timeout, int ranks_per_node = 0);
  ~NcclCommunicator() override;

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  int local_rank() const override { return host_->local_rank(); }
  int local_size() const override { return host_->local_size(); }

  void reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, std::string_view what) override;
  void all_gather(const Tensor& piece, const Tensor& all, std::string_view what) override;
  void sum(const Tensor& numbers, std::string_view what) override;
  void progress() override;
  void join() override;
  void wait() override;  // the host waits: when it returns, work of any stream may use the results
  void all_reduce(std::span<int64_t> numbers, ReduceOp op, std::string_view what) override;
  void all_reduce(std::span<double> numbers, ReduceOp op, std::string_view what) override;
  void broadcast(const Tensor& t, int root, std::string_view what) override;
  void barrier(std::string_view what) override;
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte> mine, int root, std::string_view what) override;
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> mine, std::string_view what) override;
  void set_slots(int64_t slots) override;
  std::string transport() const override;

 private:
  struct Started {
    std::string text;
    std::unique_ptr<Event> end;  // on the stream, behind the collective
  };

  void open(int ranks_per_node);
  void close();
  void abort();
  void guarded(const std::function<void()>& work);  // after a failure nothing works any more

  void start(CollectiveKind kind, size_t bytes, int64_t detail, std::string_view what, const std::function<void()>& calls);
  void group(const std::function<void()>& calls);
  void send(const Tensor& t, int to);
  void receive(const Tensor& t, int from);
  void exchange_pieces(std::span<const Tensor> subtrees, int64_t piece, const Tensor& received);
  void reduce_exactly(std::span<const Tensor> subtrees, const Tensor& piece);
  Tensor staging(int64_t rows, int64_t columns);

  void check(ncclResult_t result, const char* call);
  void settle(ncclResult_t result, const char* call);  // waits until what the call asked for has been done, or is on the stream
  ncclResult_t state();                                // ncclSuccess or ncclInProgress; throws the asynchronous error
  bool drop_ended();                                   // whether a started collective has ended since the last time
  void poll(const std::function<std::string()>& awaited);
  void poll_until(const std::function<bool()>& done, const std::function<std::string()>& awaited);

  Backend& backend_;
  std::unique_ptr<MpiCommunicator> host_;
  std::chrono::milliseconds timeout_;
  int exceptions_;  // under way when it was made
  Stream stream_;
  Event backend_ready_, joined_;
  bool host_started_ = false;  // collectives of host tensors, since the last wait for them
  ncclComm_t comm_ = nullptr;
  std::string current_ = "the start of the communicator";  // what is being started, for errors
  std::string failure_;
  std::deque<Started> started_;                      // in the order of the calls
  std::chrono::steady_clock::time_point last_sign_;  // of a collective that ended, or was started when none was under way
  std::vector<std::unique_ptr<Event>> free_events_;
  Buffer staging_, additions_memory_;
  Tensor additions_;  // see TreeSum
  NodeLayout nodes_;
  std::optional<NodeReduction> node_reduction_;  // where there are two levels, after set_slots()
};

}  // namespace mpibert::cuda
