// The loss scale inside the trainer, in fp32 on the CPU: where nothing over- or underflows a power of two changes no bit, and where the
// gradient overflows every rank leaves the step out and lowers the scale.

#include <cmath>

#include "mpibert/train/trainer.h"
#include "tests/multirank/collectives.h"
#include "tests/support/tiny_model.h"

namespace mpibert::test {
namespace {

constexpr int64_t kSlots = 4;

// One sequence of 9 + slot tokens a slot, labelled by its slot.
Slot slot_of(int64_t index) {
  std::vector<int32_t> ids;
  for (const int k : hashed_numbers("slot " + std::to_string(index), 9 + index)) ids.push_back(1 + (k + 127) % 60);
  Batch batch = pack({{ids, index}}, 24);
  batch.add("labels", {static_cast<int32_t>(index % 2)});
  Slot slot{.index = index, .micro_batches = {}};
  slot.micro_batches.push_back(std::move(batch));
  return slot;
}

// A trainer of the tiny model and what it works with.
struct Training {
  // The classifier's weights are multiplied with `steepness`, and what backward takes through them with it.
  explicit Training(const LossScaleOptions& loss_scale, double max_grad_norm = 0.01, float steepness = 1)
      : model(tiny_config(), arena, classification_head(2)),
        trainer(
            *backend, comm, model, arena, DType::kFloat32,
            {.schedule = {.kind = "constant", .peak = 1e-4}, .slots = kSlots, .max_grad_norm = max_grad_norm, .loss_scale = loss_scale}) {
    model.plan(*backend, DType::kFloat32, TinyModel::kLimits, true);
    model.allocate(*backend);
    std::vector<float> masters(static_cast<size_t>(arena.size()));
    arena.initialize(1, 0.2f, host_tensor(std::span(masters), {arena.size()}));
    const Parameter& classifier = arena.find("classifier.weight");
    for (int64_t i = classifier.offset; i < classifier.end(); ++i) masters[static_cast<size_t>(i)] *= steepness;
    trainer.set_weights(masters);
  }
  StepVerdict step() {
    std::vector<Slot> slots;
    const SlotRange mine = slots_of_rank(kSlots, comm.size(), comm.rank());
    for (int64_t i = mine.first; i < mine.last; ++i) slots.push_back(slot_of(i));
    trainer.step(slots, 0);
    return trainer.verdicts(true).at(0);
  }
  double loss() { return trainer.losses().at(0).loss; }
  // Weights and moments on rank 0; elsewhere the counters only.
  Snapshot saved() {
    Snapshot snapshot;
    trainer.save(snapshot);
    return snapshot;
  }

  std::unique_ptr<Backend> backend = make_backend({});
  MpiCommunicator comm{MPI_COMM_WORLD, patient()};
  ParameterArena arena;
  Model model;
  Trainer trainer;
};

void expect_same_training(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.optimizer, b.optimizer);
}

TEST(LossScaleInTraining, APowerOfTwoChangesNoBit) {
  for (const double max_grad_norm : {0.01, 0.0}) {  // clipped, and not
    Training plain({}, max_grad_norm), scaled({.initial = 1024}, max_grad_norm);
    for (int i = 0; i < 3; ++i) {
      const StepVerdict expected = plain.step(), found = scaled.step();
      EXPECT_EQ(found.loss_scale, 1024);
      EXPECT_EQ(found.gradient_norm, expected.gradient_norm);
      EXPECT_EQ(scaled.loss(), plain.loss());
    }
    expect_same_training(scaled.saved(), plain.saved());
  }
}

// With 2^127 the gradient of the logits, at most 1/4 of it, is finite; what goes on through the classifier is not.
TEST(LossScaleInTraining, AnOverflowIsSkippedOnEveryRankAndOnlyMovesTheScale) {
  Training training({.dynamic = true, .initial = 0x1p127, .growth_interval = 2}, 1, 1000);
  const Snapshot before = training.saved();
  double scale = 0x1p127;
  int64_t skipped = 0;
  StepVerdict verdict;
  for (; !verdict.applied;) {
    ASSERT_LT(skipped, 40);
    verdict = training.step();
    EXPECT_EQ(verdict.loss_scale, scale);
    if (verdict.applied) break;
    scale /= 2;
    ++skipped;
    EXPECT_EQ(verdict.next_loss_scale, scale);
    const Snapshot after = training.saved();
    expect_same_training(after, before);
    EXPECT_EQ(after.state.loss_scale, scale);
  }
  EXPECT_GT(skipped, 0);
  EXPECT_EQ(verdict.skipped, skipped);
  std::vector<double> scales = {verdict.next_loss_scale, -verdict.next_loss_scale};
  training.comm.all_reduce(scales, ReduceOp::kMax, "scales");
  EXPECT_EQ(scales[0], -scales[1]) << "equal on every rank";
  EXPECT_EQ(training.step().next_loss_scale, 2 * scale) << "two finite steps, and it grows";
}

}  // namespace
}  // namespace mpibert::test
