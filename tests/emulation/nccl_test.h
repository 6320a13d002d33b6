#pragma once

#include <chrono>
#include <string>

#include "comm/cuda/nccl_communicator.h"
#include "mpibert/comm/slot_tree.h"
#include "tests/emulation/nccl_faults.h"
#include "tests/multirank/collectives.h"

namespace mpibert::test {

constexpr std::chrono::milliseconds kShort{1500}, kLong{60000};  // for tests that wait for the end of it, and for those that do not

// A rank with an emulated card and NCCL's double.
class NcclTest : public testing::Test {
 protected:
  NcclTest() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    last = size - 1;
  }
  void TearDown() override {
    emulation::set_nccl_fault({});
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQ(emulation::live_nccl_communicators(), 0);
  }

  std::unique_ptr<cuda::NcclCommunicator> make(std::chrono::milliseconds timeout = kLong, int ranks_per_node = 0) {
    MPI_Barrier(MPI_COMM_WORLD);
    return std::make_unique<cuda::NcclCommunicator>(
        *backend, std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, MpiOptions{.timeout = timeout}), timeout, ranks_per_node);
  }

  template <class T>
  Tensor device(std::vector<T> numbers) {
    const auto n = static_cast<int64_t>(numbers.size());
    const Tensor t = empty<T>(n);
    backend->upload(host_tensor(std::span(numbers), {n}), t);
    return t;
  }
  template <class T = float>
  Tensor empty(int64_t n) {
    memory_.push_back(backend->allocate(static_cast<size_t>(n) * sizeof(T)));
    return memory_.back().view(DTypeOf<T>::value, {n});
  }
  template <class T = float>
  std::vector<T> read(const Tensor& t) {
    std::vector<T> numbers(static_cast<size_t>(t.size()));
    backend->download(t, host_tensor(std::span(numbers), {t.size()}));
    return numbers;
  }

  // This rank's subtrees of so many slots, one of n numbers each.
  std::vector<Tensor> subtrees(int64_t slots, int64_t n) {
    std::vector<Tensor> tensors;
    for (const SlotRange& range : subtrees_of_rank(slots, size, rank)) {
      std::vector<float> numbers(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) numbers[static_cast<size_t>(i)] = tree_sum(range.first, range.last, i);
      tensors.push_back(device(numbers));
    }
    return tensors;
  }
  int different_bits(const Tensor& piece, int64_t slots, int64_t begin) {
    int different = 0;
    for (const float found : read(piece))
      different += std::bit_cast<uint32_t>(found) != std::bit_cast<uint32_t>(tree_sum(0, slots, begin++));
    return different;
  }

  // A step as the trainer's, over whatever the test has prepared.
  void step(Communicator& comm, const std::string& what = "gradients") {
    const std::vector<Tensor> gradients = subtrees(size, 100 * size);
    const Tensor sum = empty(100), all = empty(100 * size);
    comm.set_slots(size);
    comm.reduce_scatter(gradients, sum, Reduction::kExact, what);
    comm.progress();
    comm.reduce_scatter(std::span(gradients).first(1), sum, Reduction::kFast, what + " fast");
    comm.wait();
    comm.all_gather(sum, all, "parameters");
    comm.sum(device(std::vector<double>(10, 1)), "squares");
    comm.wait();
    comm.broadcast(all, 0, "weights");
  }
  std::string communication_error(const auto& call) { return error_of(ErrorKind::kCommunication, call); }

  int rank = 0, size = 1, last = 0;
  std::unique_ptr<Backend> backend = make_backend({DeviceType::kCuda, 0});

  std::vector<Buffer> memory_;
};

}  // namespace mpibert::test
