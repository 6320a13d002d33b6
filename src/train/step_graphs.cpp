#include "train/step_graphs.h"

#include <algorithm>

namespace mpibert {

void StepGraphs::run(const StepGraphKey& key, const Work& work, const GradientReady& ready) {
  if (!enabled_) return work(ready);
  const auto [found, is_new] = entries_.try_emplace(key);
  Entry& entry = found->second;
  entry.last_use = ++uses_;
  if (is_new) {
    if (entries_.size() > kMostKeys) drop_oldest();
    work(ready);
  } else if (entry.parts.empty()) {
    entry.parts = capture(key.cut, work, ready);
  } else {
    ++replays_;
    for (const Part& part : entry.parts) {
      backend_.launch(*part.graph);
      ready(part.offset);
    }
  }
}

std::vector<StepGraphs::Part> StepGraphs::capture(bool cut, const Work& work, const GradientReady& ready) {
  std::vector<Part> parts;
  backend_.begin_capture();
  try {
    work([&](int64_t offset) {
      if (!cut && offset > 0) return;
      parts.push_back({backend_.end_capture(), offset});
      backend_.launch(*parts.back().graph);
      ready(offset);
      if (offset > 0) backend_.begin_capture();
    });
  } catch (...) {
    backend_.drop_capture();
    throw;
  }
  return parts;
}

void StepGraphs::drop_oldest() {
  entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.last_use; }));
}

}  // namespace mpibert
