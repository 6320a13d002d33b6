#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert::cuda {

// Ranks of a job that lie node by node, as many on each: rank = node * ranks + local.
struct NodeLayout {
  int nodes = 1, ranks = 1;  // ranks: of one node
  int node = 0, local = 0;   // this rank's
  bool has_two_levels() const { return nodes > 1 && ranks > 1; }
};
// hosts: of each rank, a number for its host. One node of all ranks where they do not lie so.
NodeLayout find_nodes(const std::vector<int>& hosts, int rank);

// An exact reduce-scatter in two levels. Inside a node, the rank with local number l adds what all its ranks have of the pieces that ranks
// l of any node own, as far as the slot tree lets it; then ranks l of all nodes exchange those sums, and owners add them. The additions are
// those of the tree, whatever the nodes, and between nodes goes a part of what goes without levels: one over the ranks of a node.
class NodeReduction {
 public:
  NodeReduction(Backend& backend, int64_t slots, const NodeLayout& layout);

  // How it sends: in a group, to ranks of the job.
  struct Calls {
    std::function<void(const std::function<void()>&)> group;
    std::function<void(const Tensor&, int)> send, receive;
    cudaStream_t stream;
  };
  int64_t staging_rows() const;
  // Queued. As Communicator::reduce_scatter. staging [staging_rows(), piece] fp32, the stream's own.
  void reduce(std::span<const Tensor> subtrees, const Tensor& piece, const Tensor& staging, const Calls& calls) const;

 private:
  // A node of the slot tree that this node's ranks have whole: operands [first, last) of the node's.
  struct Subtree {
    int first, last;
    Tensor additions;  // see TreeSum
  };

  Tensor upload(std::vector<uint8_t> additions);
  void exchange_inside(std::span<const Tensor> subtrees, int64_t n, const Tensor& arrived, const Calls& calls) const;
  void add_inside(std::span<const Tensor> subtrees, int64_t n, const Tensor& arrived, const Tensor& sums, cudaStream_t stream) const;
  int own() const;     // operands of this rank
  int others() const;  // of the node's other ranks

  Backend& backend_;
  NodeLayout layout_;
  std::vector<int> first_;       // operand of each rank of this node, and their number
  std::vector<int> node_first_;  // the same of each node, among the nodes' subtrees
  std::vector<Subtree> subtrees_;
  Tensor node_additions_;
  std::vector<Buffer> memory_;
};

}  // namespace mpibert::cuda
