#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "mpibert/model/pass.h"

namespace mpibert {

// All that the queued work of a micro-batch depends on, but for numbers in device memory and a plan that does not change.
struct StepGraphKey {
  BatchShape shape{};              // as computed, with fillers
  int64_t fields = 0;              // of the batch: which labels it has
  const void* gradient = nullptr;  // the buffer that backward adds to
  bool cut = false;                // the host is to be told of each offset as soon as what is before it is queued
  auto operator<=>(const StepGraphKey&) const = default;
};

// Runs forward and backward of micro-batches. The first one of a key runs operation by operation, as without graphs: it makes what
// operations make once (workspaces, plans of products). The second is captured and launched, those after it are replayed.
class StepGraphs {
 public:
  // The most keys that are kept; of others the one that was used longest ago goes.
  static constexpr size_t kMostKeys = 64;
  // Queues the work, and calls its argument with offsets that descend to 0, after which it queues nothing. Changes nothing that a replay
  // would lack.
  using Work = std::function<void(const GradientReady&)>;

  // Without `enabled`, and on a backend without graphs, all runs operation by operation.
  StepGraphs(Backend& backend, bool enabled) : backend_(backend), enabled_(enabled && backend.has_graphs()) {}

  // Queues `work`. Calls `ready` with each of its offsets where key.cut, as soon as all before the offset is queued; of a graph without
  // cuts with 0 only, at the end. `ready` may wait and communicate: it is never called inside a capture.
  void run(const StepGraphKey& key, const Work& work, const GradientReady& ready);

  int64_t replays() const { return replays_; }  // micro-batches that were replayed

 private:
  // A graph and the offset that is ready when it is queued.
  struct Part {
    std::unique_ptr<Graph> graph;
    int64_t offset = 0;
  };
  struct Entry {
    std::vector<Part> parts;  // none until the key comes a second time
    int64_t last_use = 0;
  };

  std::vector<Part> capture(bool cut, const Work& work, const GradientReady& ready);
  void drop_oldest();

  Backend& backend_;
  bool enabled_;
  std::map<StepGraphKey, Entry> entries_;
  int64_t uses_ = 0, replays_ = 0;
};

}  // namespace mpibert
