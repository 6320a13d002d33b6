#include "comm/host_staged_communicator.h"

#include <algorithm>

namespace mpibert {

Tensor HostStagedCommunicator::host_memory(DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.size()) * bytes_of(dtype);
  const auto fits = std::find_if(free_.begin(), free_.end(), [&](const Buffer& buffer) { return buffer.bytes() >= bytes; });
  if (fits == free_.end()) {
    used_.push_back(backend_.allocate_host(bytes));
  } else {
    used_.push_back(std::move(*fits));
    free_.erase(fits);
  }
  return used_.back().view(dtype, shape);
}

Tensor HostStagedCommunicator::host_copy(const Tensor& t) {
  if (on_host(t)) return t;
  const Tensor copy = host_memory(t.dtype(), t.shape());
  backend_.download(t, copy);
  return copy;
}

void HostStagedCommunicator::reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction,
                                            std::string_view what) {
  std::vector<Tensor> copies;
  for (const Tensor& subtree : subtrees) copies.push_back(host_copy(subtree));
  const Tensor sum = on_host(piece) ? piece : host_memory(piece.dtype(), piece.shape());
  host_->reduce_scatter(copies, sum, reduction, what);
  if (!on_host(piece)) arrivals_.push_back({sum, piece});
}

void HostStagedCommunicator::all_gather(const Tensor& piece, const Tensor& all, std::string_view what) {
  const Tensor gathered = on_host(all) ? all : host_memory(all.dtype(), all.shape());
  host_->all_gather(host_copy(piece), gathered, what);
  if (!on_host(all)) arrivals_.push_back({gathered, all});
}

void HostStagedCommunicator::sum(const Tensor& numbers, std::string_view what) {
  const Tensor copy = host_copy(numbers);
  host_->sum(copy, what);
  if (!on_host(numbers)) arrivals_.push_back({copy, numbers});
}

void HostStagedCommunicator::wait() {
  host_->wait();
  for (const Arrival& arrival : arrivals_) backend_.upload(arrival.host, arrival.device);
  arrivals_.clear();
  std::move(used_.begin(), used_.end(), std::back_inserter(free_));
  used_.clear();
}

void HostStagedCommunicator::broadcast(const Tensor& t, int root, std::string_view what) {
  const Tensor copy = host_copy(t);
  host_->broadcast(copy, root, what);
  if (!on_host(t)) backend_.upload(copy, t);
}

}  // namespace mpibert
