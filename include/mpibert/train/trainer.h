#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mpibert/comm/communicator.h"
#include "mpibert/comm/gradient_reducer.h"
#include "mpibert/comm/slot_tree.h"
#include "mpibert/model/bert.h"
#include "mpibert/optim/optimizer.h"
#include "mpibert/optim/schedule.h"
#include "mpibert/train/checkpoint.h"
#include "mpibert/train/loss_scale.h"

namespace mpibert {

struct TrainerOptions {
  ScheduleOptions schedule{};
  OptimizerOptions optimizer{};
  Reduction reduction = Reduction::kExact;
  int64_t slots = 1;         // G: leaves of the slot tree; at least the number of ranks
  int64_t bucket_mib = 25;   // gradient ranges of about this size are reduced while backward goes on
  double max_grad_norm = 1;  // 0: no clipping
  LossScaleOptions loss_scale{};
  float label_smoothing = 0;  // of cross-entropies, when training
  uint64_t seed = 0;          // of dropout
  bool cuda_graphs = true;    // on a card: micro-batches whose shape has come before are replayed from graphs; the bits are the same
};

// What is known of a step when it has been queued. All ranks get the same numbers, but for the times.
struct StepOutcome {
  int stop_signal = 0;  // a signal reached some rank: nothing was computed, the step is still to be done
  double learning_rate = 0;
  int64_t tokens = 0, samples = 0;
  double flops = 0;
  double comm_seconds = 0, optimizer_seconds = 0;  // of this rank's host: waiting for others; updating
};

// What the device found. The same on all ranks.
struct StepVerdict {
  int64_t step = 0;                            // of steps(): the first is 1
  bool applied = false;                        // false: a gradient was not finite, the parameters and moments are as before
  double gradient_norm = 0;                    // of the true gradient, without the scale of the loss
  double loss_scale = 1, next_loss_scale = 1;  // what the loss was multiplied with, and what that of the next step is
  int64_t skipped = 0;                         // steps that were, since the start of the training
};

// Mean loss and accuracy of one loss term over a global batch.
struct TermResult {
  std::string name;
  double weight = 1, loss = 0, accuracy = 0;
  int64_t labels = 0;
};

inline constexpr size_t kStepsAhead = 2;  // how far the host may be ahead of a card

class StepGraphs;

// Data-parallel training of one model: forward and backward of this rank's slots, exact sums over ranks, update of the owned pieces,
// all-gather. Every function marked collective is called by all ranks at the same place.
class Trainer {
 public:
  // The arena's parameters are declared and their rates set; this allocates values, gradients and moments. The model must be planned and
  // allocated by the caller after it. Throws kInvalidArgument where options do not fit (more ranks than slots, ...).
  Trainer(Backend& backend, Communicator& comm, Model& model, ParameterArena& arena, DType compute, const TrainerOptions& options);
  ~Trainer();

  // Takes new weights ([arena.size()] host fp32), the same on all ranks, as the masters.
  void set_weights(std::span<const float> masters);

  // Collective. One optimizer step on this rank's slots; `stop_signal` is what this rank has received, or 0. On cards it is queued when
  // this returns: the host waits for a card only in what is said to, and here until the last step but kStepsAhead has been done.
  StepOutcome step(std::span<const Slot> slots, int stop_signal);
  // Each step's verdict once, in order: of all steps so far, for which it waits, or, on cards, of all but the last kStepsAhead.
  std::vector<StepVerdict> verdicts(bool all);
  // Collective. Losses of the last step over all ranks, added in the order of slots.
  std::vector<TermResult> losses();

  // Collective. Fills parameters, weights and optimizer of `snapshot` on rank 0 and the counters of its state on all.
  void save(Snapshot& snapshot);
  // Goes on from a checkpoint that every rank has read.
  void restore(const Snapshot& snapshot);
  std::vector<Slice> slices() const;                   // where each parameter lies
  std::vector<std::string> optimizer_buffers() const;  // names a checkpoint must hold

  // Bytes of the device that the trainer holds, by part; with the model's activations all that the backend counts on a CPU.
  const std::vector<std::pair<std::string, int64_t>>& memory() const { return memory_; }
  int64_t steps() const { return step_; }  // done, skipped ones among them
  int64_t graph_replays() const;           // micro-batches of this process that were replayed
  int64_t samples() const { return samples_; }
  int64_t tokens() const { return tokens_; }
  // Frees nothing and changes nothing: the values to evaluate with.
  Model& model() { return model_; }

 private:
  struct Counts;
  Counts exchange_counts(std::span<const Slot> slots, int stop_signal);
  void run_slots(std::span<const Slot> slots);
  void run_slot(const Slot& slot, const SlotStep& plan, int64_t row, bool last);
  void merge(const SlotMerge& merge, int64_t begin, int64_t end);
  Tensor reduced_gradient();
  void apply(const Tensor& gradient, StepOutcome& outcome);
  void await_verdict();
  Tensor loss_row(int64_t row) const;
  SumOverRanks sum_over_ranks();
  std::vector<std::vector<float>> gather_owned(const Tensor& owned);

  Backend& backend_;
  Communicator& comm_;
  Model& model_;
  ParameterArena& arena_;
  TrainerOptions options_;
  FoldPlan plan_;
  SlotRange run_;
  int64_t bucket_ = 0;
  std::vector<Buffer> gradient_memory_;
  std::vector<Tensor> gradients_;  // the buffers of the fold plan, [padded size] fp32
  Buffer owned_memory_, state_memory_, loss_memory_, cells_memory_;
  Tensor owned_, state_tensor_, losses_, cells_;  // losses_ [slots of this rank, 2, terms]: sums, then counts of right answers
  Tensor slot_losses_;                            // [2, terms], of the slot at work: graphs add to one address
  Pass pass_;                                     // of every micro-batch
  std::unique_ptr<StepGraphs> graphs_;
  std::optional<GradientReducer> reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<NormBlocks> norms_;
  StepRule rule_;
  StepState state_;  // what the host gives: its first part, and all of it at the start

  // Copies of the device's state, under way: the oldest first. Their memory is taken in turn.
  struct Copy {
    StepState* state = nullptr;
    std::unique_ptr<PendingDownload> download;
  };
  Buffer copies_memory_;
  std::deque<Copy> copies_;
  std::vector<StepVerdict> verdicts_;  // not yet asked for
  std::vector<std::pair<std::string, int64_t>> memory_;
  std::vector<int64_t> labels_;  // of the last step, by term, over all ranks
  int64_t step_ = 0, samples_ = 0, tokens_ = 0;
};

}  // namespace mpibert
