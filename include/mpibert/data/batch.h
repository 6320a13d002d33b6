#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpibert/tensor/tensor.h"

namespace mpibert {

// B sequences end to end in one row of T tokens; there is no padding and no mask. Always present, int32:
//   input_ids, token_type_ids, position_ids, token_keys [T]   cu_seqlens [B+1]   sequence_keys [B] (the key of each first token)
// and the labels of the task:
//   pre-training: masked_lm_positions [P] (rows of this batch, ascending), masked_lm_ids [P], next_sentence_labels [B]
//   classification: labels [B] int32      regression: labels [B] fp32
//   multiple choice: labels [B / choices()] int32, of n = choices() neighbouring sequences the right one, 0 .. n-1
// token_keys[t] = (position of the sequence in the global batch) * max_position_embeddings + (index in the sequence); it keys the dropout.
class Batch {
 public:
  Batch() = default;
  Batch(Batch&&) = default;
  Batch& operator=(Batch&&) = default;

  int64_t tokens() const { return tokens_; }                  // T
  int64_t sequences() const { return sequences_; }            // B
  int64_t max_seq_length() const { return max_seq_length_; }  // S
  int64_t choices() const { return choices_; }  // sequences of a sample: 1, or those of a multiple choice, which are neighbours
  int64_t samples() const { return sequences_ / choices_; }
  bool has(std::string_view name) const;
  Tensor operator[](std::string_view name) const;  // throws kInvalidArgument naming the fields there are

  // The dataset's ids of the samples, in order; host only.
  const std::vector<int64_t>& sample_ids() const { return sample_ids_; }

  void set_extent(int64_t tokens, int64_t sequences, int64_t max_seq_length, int64_t choices = 1);
  void set_sample_ids(std::vector<int64_t> ids) { sample_ids_ = std::move(ids); }
  // Stores host numbers; a float field is given by its bits.
  void add(std::string name, std::vector<int32_t> values, DType dtype = DType::kInt32);
  // A view of numbers owned elsewhere, e.g. on a device.
  void add_view(std::string name, Tensor tensor);
  const std::vector<std::pair<std::string, Tensor>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, Tensor>> fields_;
  std::vector<std::vector<int32_t>> storage_;
  std::vector<int64_t> sample_ids_;
  int64_t tokens_ = 0, sequences_ = 0, max_seq_length_ = 0, choices_ = 1;
};

// One leaf of the slot tree: its part of the global batch, cut into micro-batches of at most micro_tokens tokens.
struct Slot {
  int64_t index = 0;
  std::vector<Batch> micro_batches;
};

}  // namespace mpibert
