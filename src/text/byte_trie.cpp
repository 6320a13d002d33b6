#include "text/byte_trie.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

// Block 0 stays empty: base 0 is that of nodes without children.
ByteTrie::ByteTrie() : units_(kBlock, kEmpty), values_(kBlock), is_base_(kBlock, true), free_(1, 0) {}

ByteTrie::Root ByteTrie::add(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.bytes < b.bytes; });
  struct Node {  // whose children are still to be placed: entries [first, last) have its bytes, `depth` of them, and more
    size_t first, last, depth;
    uint32_t unit;
  };
  const auto byte_of = [&](size_t entry, size_t depth) { return static_cast<uint8_t>(entries[entry].bytes[depth]); };
  Root root = 0;
  std::vector<uint8_t> labels;
  std::vector<Node> nodes = {{0, entries.size(), 0, 0}};
  while (!nodes.empty()) {
    const Node node = nodes.back();
    nodes.pop_back();
    labels.clear();
    for (size_t i = node.first; i < node.last; ++i)
      if (const uint8_t label = byte_of(i, node.depth); labels.empty() || labels.back() != label) labels.push_back(label);
    if (labels.empty()) break;  // no entries at all
    const uint32_t base = place(labels);
    if (node.depth == 0) root = base;
    else units_[node.unit] |= base << kBaseShift;
    for (size_t i = node.first; i < node.last;) {
      const uint32_t unit = base ^ byte_of(i, node.depth);
      size_t last = i;
      while (last < node.last && byte_of(last, node.depth) == byte_of(i, node.depth)) ++last;
      units_[unit] = byte_of(i, node.depth);
      if (entries[i].bytes.size() == node.depth + 1) {
        units_[unit] |= kIsEnd;
        values_[unit] = entries[i++].value;
      }
      if (i < last) nodes.push_back({i, last, node.depth + 1, unit});
      i = last;
    }
  }
  return root;
}

bool ByteTrie::fits(uint32_t base, std::span<const uint8_t> labels) const {
  return !is_base_[base] && std::all_of(labels.begin(), labels.end(), [&](uint8_t label) { return units_[base ^ label] == kEmpty; });
}

// A base for children with these labels: the first that fits, in the last few blocks.
uint32_t ByteTrie::place(std::span<const uint8_t> labels) {
  constexpr uint32_t kOpenBlocks = 8;
  for (uint32_t block = first_open_;; ++block) {
    if (block == free_.size()) {
      MPIBERT_CHECK(units_.size() + kBlock <= (1u << (32 - kBaseShift)), kInvalidArgument,
                    "the vocabulary is too large: its tokens have about ", units_.size(), " prefixes");
      units_.resize(units_.size() + kBlock, kEmpty);
      values_.resize(units_.size());
      is_base_.resize(units_.size());
      free_.push_back(kBlock);
      first_open_ = std::max(first_open_, block < kOpenBlocks ? 1 : block - kOpenBlocks + 1);
    }
    if (free_[block] < labels.size()) continue;
    for (uint32_t unit = block * kBlock; unit < (block + 1) * kBlock; ++unit) {
      const uint32_t base = unit ^ labels[0];
      if (units_[unit] != kEmpty || !fits(base, labels)) continue;
      is_base_[base] = true;
      free_[block] -= static_cast<uint32_t>(labels.size());
      return base;
    }
  }
}

}  // namespace mpibert
