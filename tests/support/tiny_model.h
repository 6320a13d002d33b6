#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mpibert/model/bert.h"
#include "mpibert/model/heads.h"
#include "tests/support/fixture.h"

namespace mpibert::test {

// A sequence of a test: ids and its place in the global batch, which keys its dropout.
struct Sequence {
  std::vector<int32_t> input_ids;
  int64_t place = 0;
};
// Packs them; labels are the caller's to add. Token types: 0 in the first half of a sequence, 1 in the second.
Batch pack(const std::vector<Sequence>& sequences, int64_t max_position_embeddings);

// A small model with closed-form weights, its memory, and one call for forward and backward.
class TinyModel {
 public:
  TinyModel(const BertConfig& config, const Model::MakeHead& make_head, DType compute = DType::kFloat32, BatchLimits limits = kLimits,
            bool train = true, Device device = {});

  // Adds to gradients and losses. Each term is scaled by 1 / its own labels of the batch, or of `global_counts`.
  void run(const Batch& batch, const GradientReady& ready = {}, std::vector<int64_t> global_counts = {});
  void forward(const Batch& batch, bool train = false);

  std::vector<float> gradient(const std::string& parameter) const;
  std::vector<float> gradients() const;  // flat
  float loss_sum(int term) const { return losses()[static_cast<size_t>(term)]; }
  float correct(int term) const { return losses()[static_cast<size_t>(4 + term)]; }
  std::vector<float> logits(int term) const;
  void clear();  // gradients and losses

  static constexpr BatchLimits kLimits{.tokens = 64, .sequences = 8, .predictions = 16, .max_seq_length = 24};

  std::unique_ptr<Backend> backend;
  ParameterArena arena;
  Model model;
  StepState state{.seed = 5, .step = 3};
  int64_t first_trained = 0;  // Pass::first_trained

 private:
  Pass pass(bool train) const;
  void upload_state();
  std::vector<float> losses() const;

  Buffer gradients_, losses_, state_;
};

// The configuration of the fixtures: L2 H16 A2 I40 V61, positions 24, no dropout.
BertConfig tiny_config(const std::string& hidden_act = "gelu");
Model::MakeHead pretraining_head();
Model::MakeHead masked_lm_head();
Model::MakeHead classification_head(int64_t num_labels);
Model::MakeHead multiple_choice_head();
Model::MakeHead token_head(int64_t num_labels);
Model::MakeHead question_answering_head();

}  // namespace mpibert::test
