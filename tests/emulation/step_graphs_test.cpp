// Graphs of training steps: the backend's, what decides about them, and a trainer, which with them has the bits it has without.

#include "train/step_graphs.h"

#include <gmock/gmock.h>

#include "mpibert/train/trainer.h"
#include "tests/emulation/streams.h"
#include "tests/multirank/collectives.h"
#include "tests/support/errors.h"
#include "tests/support/tiny_model.h"

namespace mpibert::test {
namespace {

using testing::ElementsAre;

constexpr Device kCard{DeviceType::kCuda, 0};

class Graphs : public testing::Test {
 protected:
  Graphs() { set({1, 10}); }
  void set(std::vector<float> numbers) { backend_->upload(host_tensor(std::span(numbers), {2}), numbers_); }
  std::vector<float> read() {
    std::vector<float> numbers(2);
    backend_->download(numbers_, host_tensor(std::span(numbers), {2}));
    return numbers;
  }
  void twice() { backend_->add({.a = numbers_, .b = numbers_, .c = numbers_}); }

  std::unique_ptr<Backend> backend_ = make_backend(kCard);
  Buffer memory_ = backend_->allocate(2 * sizeof(float));
  Tensor numbers_ = memory_.view(DType::kFloat32, {2});
};

TEST_F(Graphs, OfTheBackendHoldWhatWasCaptured) {
  backend_->begin_capture();
  twice();
  backend_->zero(numbers_.elements(1, 2));
  const std::unique_ptr<Graph> graph = backend_->end_capture();
  EXPECT_THAT(read(), ElementsAre(1, 10));
  backend_->launch(*graph);
  EXPECT_THAT(read(), ElementsAre(2, 0));
  set({3, 4});
  backend_->launch(*graph);
  EXPECT_THAT(read(), ElementsAre(6, 0));
}

TEST_F(Graphs, OfTheBackendRefuseTheHostAndMemory) {
  std::vector<float> host(2);
  const Tensor there = host_tensor(std::span(host), {2});
  const std::pair<const char*, std::function<void()>> calls[] = {{"upload()", [&] { backend_->upload(there, numbers_); }},
                                                                 {"download()", [&] { backend_->download(numbers_, there); }},
                                                                 {"synchronize()", [&] { backend_->synchronize(); }},
                                                                 {"allocate()", [&] { backend_->allocate(8); }},
                                                                 {"allocate_host()", [&] { backend_->allocate_host(8); }}};
  for (const auto& [name, call] : calls) {
    backend_->begin_capture();
    expect_error(ErrorKind::kDevice, {name, "while a graph is captured"}, call);
    backend_->drop_capture();
    backend_->drop_capture();  // there is none
  }
  EXPECT_THAT(read(), ElementsAre(1, 10)) << "nothing was launched, and the stream works";
}

// A larger workspace would not be where the graphs before look for theirs; and one that is made between captures leaves them theirs.
TEST_F(Graphs, KeepTheirWorkspace) {
  const auto table_of = [this](Buffer& memory, int64_t rows) {
    memory = backend_->allocate(static_cast<size_t>(rows) * 2 * sizeof(float));
    const Tensor table = memory.view(DType::kFloat32, {rows, 2});
    std::vector<float> ones(static_cast<size_t>(rows) * 2, 1);
    backend_->upload(host_tensor(std::span(ones), table.shape()), table);
    return table;
  };
  Buffer small_memory, large_memory;
  const Tensor small = table_of(small_memory, 100), large = table_of(large_memory, 100000);
  backend_->begin_capture();
  expect_error(ErrorKind::kDevice, {"workspace", "run it once before"},
               [&] { backend_->column_sum({.input = small, .output = numbers_}); });
  backend_->drop_capture();

  set({0, 0});
  backend_->column_sum({.input = small, .output = numbers_});
  backend_->begin_capture();
  backend_->column_sum({.input = small, .output = numbers_});
  const std::unique_ptr<Graph> graph = backend_->end_capture();
  backend_->column_sum({.input = large, .output = numbers_});
  backend_->launch(*graph);
  EXPECT_THAT(read(), ElementsAre(100200, 100200));
}

// Work in two parts.
class StepGraphsTest : public Graphs {
 protected:
  void run(const StepGraphKey& key) {
    const auto work = [this](const GradientReady& ready) {
      ++calls_;
      twice();
      ready(7);
      twice();
      ready(0);
    };
    offsets_.clear();
    graphs_.run(key, work, [this](int64_t offset) {
      offsets_.push_back(offset);
      seen_ = read();  // waits, which a capture does not allow
    });
  }
  StepGraphs graphs_{*backend_, true};
  int calls_ = 0;
  std::vector<int64_t> offsets_;
  std::vector<float> seen_;
};

TEST_F(StepGraphsTest, RunThenCaptureThenReplay) {
  for (const float expected : {4.0f, 16.0f, 64.0f, 256.0f}) {
    run({});
    EXPECT_EQ(read()[0], expected);
    EXPECT_EQ(seen_[0], expected) << "what is ready is queued";
  }
  EXPECT_EQ(calls_, 2);
  EXPECT_EQ(graphs_.replays(), 2);
  EXPECT_THAT(offsets_, ElementsAre(0));
  run({.shape = {.tokens = 1}});
  EXPECT_EQ(calls_, 3) << "another key";
}

TEST_F(StepGraphsTest, AreCutWhereTheHostIsToBeTold) {
  for (int i = 0; i < 4; ++i) {
    run({.cut = true});
    EXPECT_THAT(offsets_, ElementsAre(7, 0)) << i;
  }
  EXPECT_EQ(calls_, 2);
  EXPECT_EQ(read()[0], 256);
}

TEST_F(StepGraphsTest, TheOnesUsedLongestAgoGo) {
  const auto run_all = [this](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) run({.fields = i});
  };
  const auto most = static_cast<int64_t>(StepGraphs::kMostKeys);
  run_all(0, most);
  run_all(0, most);
  run_all(0, most);
  EXPECT_EQ(graphs_.replays(), most);
  run({.fields = most});  // the first key goes
  run_all(1, most);
  EXPECT_EQ(graphs_.replays(), 2 * most - 1);
  calls_ = 0;
  run({.fields = 0});
  EXPECT_EQ(calls_, 1);
}

TEST_F(StepGraphsTest, AnErrorInACaptureLeavesTheStreamAndTheKeyAsTheyWere) {
  const auto failing = [this](const GradientReady&) {
    twice();
    throw Error(ErrorKind::kInvalidArgument, "planted");
  };
  run({});
  expect_error(ErrorKind::kInvalidArgument, {"planted"}, [&] { graphs_.run({}, failing, [](int64_t) {}); });
  EXPECT_EQ(read()[0], 4);
  run({});
  run({});
  EXPECT_EQ(read()[0], 64);
  EXPECT_EQ(graphs_.replays(), 1);
}

// A trainer of the tiny model with dropout, on sequences of changing lengths: slots of two micro-batches.
class Training {
 public:
  explicit Training(bool cuda_graphs, int64_t slots = 4)
      : slots_(slots),
        model_(config(), arena_, pretraining_head()),
        trainer_(*backend_, *comm_, model_, arena_, DType::kFloat32,
                 {.schedule = {.kind = "constant", .peak = 1e-2}, .slots = slots, .bucket_mib = 1, .cuda_graphs = cuda_graphs}) {
    model_.plan(*backend_, DType::kFloat32, TinyModel::kLimits, true);
    model_.allocate(*backend_);
    std::vector<float> masters(static_cast<size_t>(arena_.size()));
    arena_.initialize(1, 0.2f, host_tensor(std::span(masters), {arena_.size()}));
    trainer_.set_weights(masters);
  }

  // All that a step leaves, and its losses.
  std::vector<std::vector<float>> steps(int count) {
    std::vector<std::vector<float>> found;
    for (int step = 0; step < count; ++step) {
      start(step);
      std::vector<float> losses;
      for (const TermResult& term : trainer_.losses())
        losses.insert(losses.end(), {static_cast<float>(term.loss), static_cast<float>(term.accuracy)});
      found.push_back(losses);
    }
    Snapshot snapshot;
    trainer_.save(snapshot);
    found.push_back(snapshot.weights);
    return found;
  }
  void start(int step) {
    std::vector<Slot> slots;
    const SlotRange mine = slots_of_rank(slots_, comm_->size(), comm_->rank());
    for (int64_t i = mine.first; i < mine.last; ++i) slots.push_back(slot_of(i, step));
    trainer_.step(slots, 0);
  }
  int64_t replays() const { return trainer_.graph_replays(); }
  Trainer& trainer() { return trainer_; }
  cudaStream_t stream() { return static_cast<cudaStream_t>(backend_->stream()); }

 private:
  static BertConfig config() {
    BertConfig config = tiny_config();
    config.num_hidden_layers = 1;
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.1f;
    return config;
  }
  static Slot slot_of(int64_t index, int step) {
    Slot slot{.index = index, .micro_batches = {}};
    for (int64_t micro = 0; micro < 2; ++micro) {
      std::vector<Sequence> sequences;
      std::vector<int32_t> positions, labels, next;
      int32_t begin = 0;
      for (int64_t i = 0; i <= micro; ++i) {
        const int64_t place = 4 * index + 2 * micro + i, length = 9 + (place + step) % 12;
        Sequence& s = sequences.emplace_back(Sequence{{}, place});
        for (const int k : hashed_numbers("step " + std::to_string(step) + " place " + std::to_string(place), length))
          s.input_ids.push_back(1 + (k + 127) % 60);
        for (const int32_t j : {1, 5, 8}) {
          positions.push_back(begin + j);
          labels.push_back(s.input_ids[static_cast<size_t>(j)]);
        }
        next.push_back(static_cast<int32_t>(place % 2));
        begin += static_cast<int32_t>(length);
      }
      Batch batch = pack(sequences, 24);
      batch.add("masked_lm_positions", positions);
      batch.add("masked_lm_ids", labels);
      batch.add("next_sentence_labels", next);
      slot.micro_batches.push_back(std::move(batch));
    }
    return slot;
  }

  int64_t slots_;
  std::unique_ptr<Backend> backend_ = make_backend(kCard);
  std::unique_ptr<Communicator> comm_ = make_communicator(*backend_, patient().timeout);
  ParameterArena arena_;
  Model model_;
  Trainer trainer_;
};

// Nor where the device runs as late as it may.
TEST(TrainerGraphs, DoNotChangeOneBit) {
  constexpr int kSteps = 5;
  Training with(true), without(false), late_with(true);
  const auto expected = without.steps(kSteps);
  EXPECT_EQ(with.steps(kSteps), expected);
  const emulation::LateStreams late;
  EXPECT_EQ(late_with.steps(kSteps), expected);
  EXPECT_EQ(without.replays(), 0);
  EXPECT_GE(with.replays(), 5);
}

// A device that does nothing until the host waits for it: so many steps are queued before the host does.
TEST(TrainerSteps, AreQueuedWithoutAWaitOfTheHost) {
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks > 1) return;  // on cards that share a host's processor their sums wait for each other
  Training training(true, 1);
  training.steps(3);  // memory, graphs, uploads
  training.trainer().verdicts(true);
  const emulation::LateStreams late;
  bool has_begun = false;
  emulation::enqueue(training.stream(), [&] { return has_begun = true; });
  for (size_t step = 0; step < kStepsAhead; ++step) {
    training.start(static_cast<int>(step));
    EXPECT_FALSE(has_begun) << "step " << step;
    EXPECT_TRUE(training.trainer().verdicts(false).empty());
  }
  const std::vector<StepVerdict> verdicts = training.trainer().verdicts(true);
  EXPECT_TRUE(has_begun);
  ASSERT_EQ(verdicts.size(), kStepsAhead);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    EXPECT_EQ(verdicts[i].step, static_cast<int64_t>(4 + i));
    EXPECT_TRUE(verdicts[i].applied);
    EXPECT_GT(verdicts[i].gradient_norm, 0);
  }
}

}  // namespace
}  // namespace mpibert::test
