#include "comm/cuda/node_reduction.h"

#include <algorithm>

#include "comm/cuda/tree_sum.h"
#include "mpibert/comm/slot_tree.h"

namespace mpibert::cuda {

NodeLayout find_nodes(const std::vector<int>& hosts, int rank) {
  const int size = static_cast<int>(hosts.size());
  const int ranks = static_cast<int>(std::count(hosts.begin(), hosts.end(), hosts.front()));
  const NodeLayout one{.nodes = 1, .ranks = size, .node = 0, .local = rank};
  if (size % ranks != 0) return one;
  for (int r = 0; r < size; ++r)
    if (hosts[static_cast<size_t>(r)] != hosts[static_cast<size_t>(r / ranks * ranks)] ||
        (r >= ranks && hosts[static_cast<size_t>(r)] == hosts[static_cast<size_t>(r - ranks)]))
      return one;
  return {.nodes = size / ranks, .ranks = ranks, .node = rank / ranks, .local = rank % ranks};
}

namespace {

// The merges among operands [first, last), which are whole nodes of the tree, numbered from 0.
std::vector<SlotMerge> merges_inside(const std::vector<SlotMerge>& merges, int first, int last) {
  std::vector<SlotMerge> inside;
  for (const SlotMerge& merge : merges)
    if (merge.into >= first && merge.from < last) inside.push_back({.into = merge.into - first, .from = merge.from - first});
  return inside;
}

}  // namespace

// A node's slots are those that a rank would have if there were one a node.
NodeReduction::NodeReduction(Backend& backend, int64_t slots, const NodeLayout& layout) : backend_(backend), layout_(layout) {
  const int ranks = layout.nodes * layout.ranks, first_rank = layout.node * layout.ranks;
  int operands = 0, before = 0;  // of all ranks; of those on nodes before this one
  std::vector<SlotRange> of_node;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::vector<SlotRange> of_rank = subtrees_of_rank(slots, ranks, rank);
    if (rank < first_rank) before += static_cast<int>(of_rank.size());
    if (rank / layout.ranks == layout.node) {
      first_.push_back(static_cast<int>(of_node.size()));
      of_node.insert(of_node.end(), of_rank.begin(), of_rank.end());
    }
    operands += static_cast<int>(of_rank.size());
  }
  first_.push_back(static_cast<int>(of_node.size()));

  const std::vector<SlotMerge> merges = combine_order(slots, ranks);
  const auto operand_at = [&](int64_t slot) {
    return static_cast<int>(std::ranges::lower_bound(of_node, slot, {}, &SlotRange::first) - of_node.begin());
  };
  int node_operands = 0;
  for (int node = 0; node < layout.nodes; ++node) {
    node_first_.push_back(node_operands);
    for (const SlotRange& subtree : subtrees_of_rank(slots, layout.nodes, node)) {
      ++node_operands;
      if (node != layout.node) continue;
      const int first = operand_at(subtree.first), last = operand_at(subtree.last);
      subtrees_.push_back({.first = first,
                           .last = last,
                           .additions = upload(additions_after(last - first, merges_inside(merges, before + first, before + last)))});
    }
  }
  node_first_.push_back(node_operands);
  node_additions_ = upload(additions_after(node_operands, combine_order(slots, layout.nodes)));
}

Tensor NodeReduction::upload(std::vector<uint8_t> additions) {
  const auto count = static_cast<int64_t>(additions.size());
  memory_.push_back(backend_.allocate(additions.size()));
  const Tensor t = memory_.back().view(DType::kUInt8, {count});
  backend_.upload(host_tensor(std::span(additions), {count}), t);
  return t;
}

int NodeReduction::own() const {
  const auto local = static_cast<size_t>(layout_.local);
  return first_[local + 1] - first_[local];
}
int NodeReduction::others() const { return first_.back() - own(); }

int64_t NodeReduction::staging_rows() const {
  const auto sums = static_cast<int64_t>(subtrees_.size());
  return layout_.nodes * (others() + sums) + node_first_.back() - sums;
}

void NodeReduction::reduce(std::span<const Tensor> subtrees, const Tensor& piece, const Tensor& staging, const Calls& calls) const {
  const int64_t sums = static_cast<int64_t>(subtrees_.size()), arriving = layout_.nodes * others();
  const Tensor partial = staging.rows(arriving, arriving + layout_.nodes * sums),
               from_nodes = staging.rows(arriving + layout_.nodes * sums, staging.shape()[0]);
  const Tensor arrived = staging.rows(0, arriving);
  if (arriving > 0) calls.group([&] { exchange_inside(subtrees, piece.size(), arrived, calls); });
  add_inside(subtrees, piece.size(), arrived, partial, calls.stream);

  const auto sums_for = [&](int node) { return partial.rows(node * sums, (node + 1) * sums); };
  calls.group([&] {
    for (int distance = 1; distance < layout_.nodes; ++distance) {
      const int from = (layout_.node + layout_.nodes - distance) % layout_.nodes, to = (layout_.node + distance) % layout_.nodes;
      const int64_t row = node_first_[static_cast<size_t>(from)] - (from < layout_.node ? 0 : sums),
                    end = node_first_[static_cast<size_t>(from) + 1] - (from < layout_.node ? 0 : sums);
      calls.receive(from_nodes.rows(row, end), from * layout_.ranks + layout_.local);
      calls.send(sums_for(to), to * layout_.ranks + layout_.local);
    }
  });
  std::vector<Tensor> own_sums;
  for (int64_t k = 0; k < sums; ++k) own_sums.push_back(sums_for(layout_.node).rows(k, k + 1).reshape({piece.size()}));
  tree_sum({.own = own_sums,
            .first = node_first_[static_cast<size_t>(layout_.node)],
            .received = from_nodes,
            .additions = node_additions_,
            .sum = piece},
           calls.stream);
}

// arrived [nodes * others, n]: for the owner on each node, the operands of the other ranks, in order.
void NodeReduction::exchange_inside(std::span<const Tensor> subtrees, int64_t n, const Tensor& arrived, const Calls& calls) const {
  for (int distance = 1; distance < layout_.ranks; ++distance) {
    const int from = (layout_.local + layout_.ranks - distance) % layout_.ranks, to = (layout_.local + distance) % layout_.ranks;
    const int shift = from < layout_.local ? 0 : own(), first_rank = layout_.node * layout_.ranks;
    for (int node = 0; node < layout_.nodes; ++node) {
      const int64_t rows = int64_t{node} * others() - shift, owner = int64_t{node} * layout_.ranks + to;
      for (int64_t row = rows + first_[static_cast<size_t>(from)]; row < rows + first_[static_cast<size_t>(from) + 1]; ++row)
        calls.receive(arrived.rows(row, row + 1), first_rank + from);
      for (const Tensor& subtree : subtrees) calls.send(subtree.elements(owner * n, (owner + 1) * n), first_rank + to);
    }
  }
}

// sums [nodes * subtrees_, n]: for the owner on each node, this node's sums.
void NodeReduction::add_inside(std::span<const Tensor> subtrees, int64_t n, const Tensor& arrived, const Tensor& sums,
                               cudaStream_t stream) const {
  const int own_first = first_[static_cast<size_t>(layout_.local)], own_last = own_first + own();
  int64_t row = 0;
  for (int node = 0; node < layout_.nodes; ++node) {
    const int64_t owner = int64_t{node} * layout_.ranks + layout_.local;
    for (const Subtree& subtree : subtrees_) {
      const int mine = std::clamp(own_first, subtree.first, subtree.last), mine_end = std::clamp(own_last, subtree.first, subtree.last);
      std::vector<Tensor> parts;
      for (int operand = mine; operand < mine_end; ++operand)
        parts.push_back(subtrees[static_cast<size_t>(operand - own_first)].elements(owner * n, (owner + 1) * n));
      const int64_t begin = int64_t{node} * others() + subtree.first - std::clamp(subtree.first - own_first, 0, own());
      const int64_t count = subtree.last - subtree.first - (mine_end - mine);
      tree_sum({.own = parts,
                .first = mine - subtree.first,
                .received = arrived.rows(begin, begin + count),
                .additions = subtree.additions,
                .sum = sums.rows(row, row + 1).reshape({n})},
               stream);
      ++row;
    }
  }
}

}  // namespace mpibert::cuda
