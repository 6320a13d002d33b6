#pragma once

#include <cstdint>
#include <functional>

#include "mpibert/data/batch.h"
#include "mpibert/ops/backend.h"

namespace mpibert {

// The numbers that the shapes of all tensors of a pass follow from.
struct BatchShape {
  int64_t tokens = 0;          // T
  int64_t sequences = 0;       // B
  int64_t predictions = 0;     // P; only the pre-training head asks
  int64_t max_seq_length = 0;  // S
  auto operator<=>(const BatchShape&) const = default;
};
BatchShape shape_of(const Batch& batch);

// The largest micro-batch that activations are planned for: the most of each number.
using BatchLimits = BatchShape;

// What a forward or backward runs with. All tensors are on the device; the trainer owns them.
struct Pass {
  bool train = true;          // false: no dropout, logits stay, no backward
  Tensor state{};             // StepState as bytes; needed to train
  float label_smoothing = 0;  // of the cross-entropies of a pass that trains
  int64_t first_trained = 0;  // gradients below this offset of the flat buffer are not asked for: backward ends when those above are final
  Tensor loss_sums{};         // [terms of the head] fp32: forward adds the sum of each term's losses (not weighted, not divided)
  Tensor correct{};           // [terms of the head] fp32: forward adds the count of right answers
};

struct EncoderOutput {
  Tensor hidden{};  // [T, H]
  Tensor pooled{};  // [B, H]; left out where the model has no pooler
};

// "All gradients at and above this offset of the flat buffer are final for this micro-batch." Offsets descend to 0.
using GradientReady = std::function<void(int64_t offset)>;

// Which dropout of the model (Dropout::site). Part of what a seed means: these never change.
//   0 embeddings;  1 + 3 l attention probabilities, 2 + 3 l attention output, 3 + 3 l feed-forward output of layer l;
//   65536 the classifier's input
enum class DropoutSite : uint32_t {
  kEmbeddings = 0,
  kAttentionProbabilities = 1,
  kAttentionOutput = 2,
  kFeedForwardOutput = 3,
  kClassifier = 65536
};
constexpr uint32_t dropout_site(DropoutSite site, int64_t layer = 0) {
  return static_cast<uint32_t>(site) + 3 * static_cast<uint32_t>(layer);
}

}  // namespace mpibert
