#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "mpibert/data/batch.h"
#include "mpibert/data/dataset.h"
#include "mpibert/data/masking.h"
#include "mpibert/data/sampler.h"

namespace mpibert {

struct LoaderOptions {
  int64_t global_batch_size = 32;         // samples of a step, over all ranks
  int64_t slots = 1;                      // leaves of the slot tree, over all ranks
  int64_t first_slot = 0, last_slot = 1;  // this rank's: first_slot .. last_slot-1
  int64_t micro_tokens = 8192;            // most tokens of a micro-batch
  int64_t max_position_embeddings = 512;  // the model's; a longer sample is an error
  int64_t vocab_size = 30522;             // the model's; a data set of a larger vocabulary is an error
  uint64_t seed = 0;
  SampleOrder order = SampleOrder::kShuffled;
  int64_t start_step = 0;           // the first step that next() gives: all that resuming needs
  bool cross_epochs = true;         // false: the last batch of an epoch is the smaller rest, as in epoch-based fine-tuning
  std::optional<Masker> masking{};  // dynamic masking
  int64_t prefetch_steps = 2;       // steps kept ready
};

// Which part of the run a step is: positions begin .. end-1 of the sampler.
struct StepRange {
  int64_t begin = 0, end = 0;
};
StepRange step_range(int64_t step, int64_t samples, int64_t global_batch_size, bool cross_epochs);
int64_t steps_per_epoch(int64_t samples, int64_t global_batch_size);  // the last, smaller one counts

// Deals the samples of a global batch to slots: longest first, each to the slot with the fewest tokens, ties to the lower number.
// Gives the members of each slot, ascending. The longest processing time rule of Graham 1969: tokens of a slot stay below
// the mean plus one sample.
std::vector<std::vector<int64_t>> deal_to_slots(std::span<const int64_t> lengths, int64_t slots);
// Cuts the members of a slot into micro-batches of at most micro_tokens: first fit, longest first; members ascending.
// Throws kInvalidArgument for a sample longer than micro_tokens.
std::vector<std::vector<int64_t>> pack(std::span<const int64_t> members, std::span<const int64_t> lengths, int64_t micro_tokens);

// The batches of a run. A step is a pure function of (data set, options, step): not of the ranks, of what was loaded before, or of time.
// A thread reads ahead; it never communicates. An error in it is thrown by next().
class BatchLoader {
 public:
  // Throws kInvalidArgument on options out of range, and on a data set whose longest sample or vocabulary the model cannot take.
  BatchLoader(Dataset dataset, LoaderOptions options);
  ~BatchLoader();
  BatchLoader(BatchLoader&&) noexcept;

  // This rank's slots of the next step, by number. A slot without a sample (a batch smaller than the slots) has no micro-batch.
  std::vector<Slot> next();
  int64_t step() const;             // of the coming next()
  int64_t steps_per_epoch() const;  // with cross_epochs false; else rounded up
  const Manifest& manifest() const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// Samples of rank r of R in an evaluation: contiguous, sizes equal but for one.
std::pair<int64_t, int64_t> evaluation_range(int64_t samples, int64_t rank, int64_t ranks);

struct EvaluationLoaderOptions {
  int64_t begin = 0, end = -1;  // samples begin .. end-1; -1: to the end
  int64_t micro_tokens = 8192;
  int64_t max_position_embeddings = 512;
  int64_t vocab_size = 30522;
  uint64_t seed = 0;
  std::optional<Masker> masking{};  // the masks of epoch 0
};

// Every sample of a range exactly once, packed; near samples of like length travel together, so Batch::sample_ids() says which they are.
class EvaluationLoader {
 public:
  EvaluationLoader(Dataset dataset, EvaluationLoaderOptions options);
  ~EvaluationLoader();
  EvaluationLoader(EvaluationLoader&&) noexcept;
  std::optional<Batch> next();  // nothing at the end

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
