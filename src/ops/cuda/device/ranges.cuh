#pragma once

// One launch for the many ranges of an optimizer's step. What is known of each travels in the kernel's parameters, of which there are 4 KiB
// at most.

#include <cuda_runtime.h>

#include <algorithm>
#include <span>
#include <type_traits>

#include "ops/cuda/device/octet.cuh"

namespace mpibert::cuda {

inline constexpr int64_t kRangeElements = 4 * kOctetThreads * kOctet;  // of a block

// Entry: what a kernel needs of a range, with its number of elements, `int64_t n`.
template <class Entry>
struct Ranges {
  static constexpr int kMost = static_cast<int>((3800 - sizeof(int64_t)) / (sizeof(Entry) + sizeof(unsigned)));
  int count = 0;
  Entry entry[kMost];
  unsigned first_block[kMost + 1] = {};  // of each; then the number of blocks

  // The range that this block has a part of.
  __device__ int mine() const {
    int i = 0;
    while (first_block[i + 1] <= blockIdx.x) ++i;
    return i;
  }
  // Calls f(at, size) for this thread's octets of its block's part of range i.
  template <class F>
  __device__ void for_each_octet(int i, const F& f) const {
    const int64_t begin = static_cast<int64_t>(blockIdx.x - first_block[i]) * kRangeElements;
    const int64_t end = begin + kRangeElements < entry[i].n ? begin + kRangeElements : entry[i].n;
    for (int64_t at = begin + static_cast<int64_t>(threadIdx.x) * kOctet; at < end; at += kOctetThreads * kOctet)
      f(at, octet_size(at, end));
  }
};

// Launches kernel(ranges, arguments...) over entry_of(op) of every op, with as few launches as the parameters allow.
template <class Op, class EntryOf, class Entry, class... Arguments>
void launch_ranges(std::span<const Op> ops, const EntryOf& entry_of, cudaStream_t stream, void (*kernel)(Ranges<Entry>, Arguments...),
                   std::type_identity_t<Arguments>... arguments) {
  for (size_t begin = 0; begin < ops.size(); begin += Ranges<Entry>::kMost) {
    Ranges<Entry> ranges;
    for (const Op& op : ops.subspan(begin, std::min<size_t>(Ranges<Entry>::kMost, ops.size() - begin))) {
      const Entry entry = entry_of(op);
      ranges.entry[ranges.count] = entry;
      ranges.first_block[ranges.count + 1] =
          ranges.first_block[ranges.count] + static_cast<unsigned>((entry.n + kRangeElements - 1) / kRangeElements);
      ++ranges.count;
    }
    launch({.grid = ranges.first_block[ranges.count], .block = kOctetThreads}, stream, kernel, ranges, arguments...);
  }
}

}  // namespace mpibert::cuda
