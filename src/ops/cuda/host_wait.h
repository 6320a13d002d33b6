#pragma once

#include <functional>
#include <thread>
#include <utility>

#include "ops/cuda/event.h"

namespace mpibert::cuda {

// How the host waits for the card. With something to do meanwhile it asks again and again, and what it does may throw, which ends the wait:
// work that stands still because another rank is gone would never end it.
class HostWait {
 public:
  void set_meanwhile(std::function<void()> meanwhile) { meanwhile_ = std::move(meanwhile); }

  void until(const Event& event) const {
    if (!meanwhile_) {
      MPIBERT_CUDA_CHECK(cudaEventSynchronize(event.get()));
      return;
    }
    for (; !event.has_passed(); std::this_thread::yield()) meanwhile_();
  }

 private:
  std::function<void()> meanwhile_;
};

}  // namespace mpibert::cuda
