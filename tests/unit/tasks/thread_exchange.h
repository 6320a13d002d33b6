#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "mpibert/tasks/prepare.h"

namespace mpibert::test {

// Ranks that are threads of this process.
class ThreadExchange : public Exchange {
 public:
  struct Meeting {
    explicit Meeting(int size) : texts(static_cast<size_t>(size)) {}
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> texts, complete;
    int arrived = 0;
    int64_t round = 0;
  };
  ThreadExchange(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(meeting_.texts.size()); }
  std::vector<std::string> all_gather(const std::string& mine) override {
    std::unique_lock lock(meeting_.mutex);
    meeting_.texts[static_cast<size_t>(rank_)] = mine;
    const int64_t round = meeting_.round;
    if (++meeting_.arrived == size()) {
      meeting_.arrived = 0;
      meeting_.complete = meeting_.texts;
      ++meeting_.round;
      meeting_.changed.notify_all();
    }
    meeting_.changed.wait(lock, [&] { return meeting_.round != round; });
    return meeting_.complete;  // the next round cannot end before this rank joins it
  }

 private:
  Meeting& meeting_;
  int rank_;
};

}  // namespace mpibert::test
