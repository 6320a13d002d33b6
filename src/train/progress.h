#pragma once

#include <chrono>
#include <cstdint>

namespace mpibert {

// One line on a terminal that is drawn over and over between reports; nothing where stderr is no terminal.
class Progress {
 public:
  Progress();
  void draw(int64_t step, int64_t total);  // at most twice a second
  void clear();

 private:
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace mpibert
