#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/comm/communicator.h"

namespace mpibert {

// Tensors of a device over a communicator of the host: for several ranks on one card, and where there is no library that joins cards. Every
// tensor goes through page-locked memory and the host waits for it: right everywhere, fast nowhere. Tensors of the host are passed on.
class HostStagedCommunicator : public Communicator {
 public:
  // why: no other way serves; for the log.
  HostStagedCommunicator(Backend& backend, std::unique_ptr<Communicator> host, std::string why)
      : backend_(backend), host_(std::move(host)), why_(std::move(why)) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  int local_rank() const override { return host_->local_rank(); }
  int local_size() const override { return host_->local_size(); }

  void reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, std::string_view what) override;
  void all_gather(const Tensor& piece, const Tensor& all, std::string_view what) override;
  void sum(const Tensor& numbers, std::string_view what) override;
  void progress() override { host_->progress(); }
  void join() override { wait(); }
  void wait() override;
  void all_reduce(std::span<int64_t> numbers, ReduceOp op, std::string_view what) override { host_->all_reduce(numbers, op, what); }
  void all_reduce(std::span<double> numbers, ReduceOp op, std::string_view what) override { host_->all_reduce(numbers, op, what); }
  void broadcast(const Tensor& t, int root, std::string_view what) override;
  void barrier(std::string_view what) override { host_->barrier(what); }
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte> mine, int root, std::string_view what) override {
    return host_->gather_bytes(mine, root, what);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> mine, std::string_view what) override {
    return host_->all_gather_bytes(mine, what);
  }
  void set_slots(int64_t slots) override { host_->set_slots(slots); }
  std::string transport() const override { return "the host's memory and MPI: " + why_; }

 private:
  // What must come to the device when the collectives that were started have ended.
  struct Arrival {
    Tensor host, device;
  };
  Tensor host_memory(DType dtype, const Shape& shape);
  Tensor host_copy(const Tensor& t);  // of a device tensor, filled; a host tensor is its own
  bool on_host(const Tensor& t) const { return t.device().type == DeviceType::kCpu; }

  Backend& backend_;
  std::unique_ptr<Communicator> host_;
  std::string why_;
  std::vector<Buffer> used_, free_;  // staging memory; until wait() a started collective uses it
  std::vector<Arrival> arrivals_;
};

}  // namespace mpibert
