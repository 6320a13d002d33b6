#pragma once

#include <filesystem>
#include <string>

#include "mpibert/train/checkpoint.h"

namespace mpibert::test {

// A snapshot of two parameters in flat buffers of 256 elements, whose numbers follow from the step.
inline Snapshot sample_snapshot(int64_t step) {
  Snapshot snapshot;
  snapshot.state.step = step;
  snapshot.state.samples_seen = 8 * step;
  snapshot.state.seed = ~uint64_t{0};
  snapshot.parameters = {{"bert.embeddings.word_embeddings.weight", {3, 2}, 0}, {"bert.embeddings.LayerNorm.weight", {5}, 128}};
  const auto fill = [&](float factor) {
    std::vector<float> flat(256);
    for (size_t i = 0; i < flat.size(); ++i) flat[i] = factor * (static_cast<float>(step) + static_cast<float>(i) / 3.0f);
    return flat;
  };
  snapshot.weights = fill(1);
  snapshot.optimizer = {{"exp_avg", fill(-1)}, {"exp_avg_sq", fill(0.001f)}};
  snapshot.files = {{"config.json", "{\"model_type\": \"bert\"}\n"}, {"vocab.txt", "[PAD]\n[UNK]\n"}};
  return snapshot;
}

}  // namespace mpibert::test
