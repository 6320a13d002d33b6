#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace mpibert::cpu {

// Memory that one operation needs for its partial results; it keeps the largest size ever asked for, so that after the first step nothing
// is allocated. One operation at a time: what floats() returned is lost at the next call.
class Workspace {
 public:
  template <class T>
  T* get(int64_t n) {
    const size_t lines = (static_cast<size_t>(n) * sizeof(T) + sizeof(Line) - 1) / sizeof(Line);
    if (lines > lines_.size()) {
      lines_.clear();  // nothing to keep while it grows
      lines_.resize(lines);
    }
    return static_cast<T*>(static_cast<void*>(lines_.data()));
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines_;
};

}  // namespace mpibert::cpu
