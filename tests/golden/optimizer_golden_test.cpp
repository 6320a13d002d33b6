// Ten steps of every optimizer and the schedules' tables (generate/optimizers.py), in one piece and in several.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "mpibert/optim/optimizer.h"
#include "mpibert/optim/schedule.h"
#include "mpibert/train/evaluator.h"
#include "tests/support/backends.h"
#include "tests/support/fixture.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

using test::Fixture;

// The four parameters of the generator, with any optimizer on any pieces.
constexpr int64_t kPadded = 12288;
const std::vector<Piece> kWhole{{0, kPadded, 0}};
// The compact buffers have another order than the model: as after a reducer with two buckets.
const std::vector<Piece> kTwoPieces{{0, 4096, 8192}, {4096, 12288, 0}};

class FourParameters {
 public:
  FourParameters(Device device, const OptimizerOptions& options, std::vector<Piece> pieces, DType compute = DType::kFloat32)
      : options_(options), backend_(make_backend(device)), pieces_(std::move(pieces)) {
    arena_.add("a.weight", {37, 11}, Init::kNormal, true);
    arena_.add("a.bias", {37}, Init::kZero, false);
    arena_.add("b.weight", {2, 4101}, Init::kNormal, true);
    arena_.add("zero.weight", {5}, Init::kZero, true);
    arena_.allocate(*backend_, compute, kPadded);
    optimizer_ = make_optimizer(options_, *backend_, arena_, pieces_);
    std::vector<float> masters(kPadded);
    for (const Parameter& p : arena_.parameters())
      if (p.name != "zero.weight")
        std::ranges::copy(test::closed_form_weights(p.name, p.shape.size()), p.in(host(masters)).span<float>().begin());
    arena_.set_values(*backend_, host(masters));
    optimizer_->set_masters(host(masters));
  }

  void step(int64_t t, const SumOverRanks& sum = {}) {
    std::vector<float> flat(kPadded), owned(static_cast<size_t>(owned_size(pieces_)));
    for (const Parameter& p : arena_.parameters()) {
      const std::vector<int> numbers = test::hashed_numbers(p.name + "@" + std::to_string(t), p.shape.size());
      std::ranges::transform(numbers, p.in(host(flat)).span<float>().begin(), [](int k) { return static_cast<float>(k) / 1024; });
    }
    for (const Piece& p : pieces_) std::copy(flat.begin() + p.begin, flat.begin() + p.end, owned.begin() + p.local);
    const Tensor gradient = on_device(gradient_memory_, owned.data(), DType::kFloat32, {static_cast<int64_t>(owned.size())});
    StepState before{.learning_rate = 1e-2f * std::min(1.0f, static_cast<float>(t + 1) / 4), .applied_steps = t};
    const Tensor state = on_device(state_memory_, &before, DType::kUInt8, {kStepStateBytes});
    const NormBlocks blocks(*backend_, arena_.segments(), pieces_);
    const Buffer cells_memory = backend_->allocate(static_cast<size_t>(blocks.count()) * sizeof(double));
    const Tensor cells = cells_memory.view(DType::kFloat64, {blocks.count()});
    blocks.squares(*backend_, gradient, cells);
    if (sum) sum(cells);
    backend_->step_decision({.squares = cells, .rule = optimizer_->rule(options_.kind == "nvlamb" ? 1 : 0), .state = state});
    optimizer_->step(state, gradient, sum);
  }

  // Lets `change` work on the host's copy of numbers on the device.
  void change(const Tensor& numbers, const std::function<void(std::span<double>)>& change) {
    std::vector<double> copy(static_cast<size_t>(numbers.size()));
    backend_->download(numbers, host_tensor(std::span(copy), numbers.shape()));
    change(copy);
    backend_->upload(host_tensor(std::span(copy), numbers.shape()), numbers);
  }

  std::vector<float> values(const std::string& name) const { return host_floats(*backend_, arena_.find(name).value); }
  std::vector<float> values() const { return host_floats(*backend_, arena_.values()); }
  const Optimizer& optimizer() const { return *optimizer_; }
  const ParameterArena& arena() const { return arena_; }

 private:
  static Tensor host(std::vector<float>& numbers) { return host_tensor(std::span(numbers), {static_cast<int64_t>(numbers.size())}); }
  // A copy of the host's bytes in `memory`.
  Tensor on_device(Buffer& memory, void* data, DType dtype, Shape shape) {
    memory = backend_->allocate(static_cast<size_t>(shape.size()) * bytes_of(dtype));
    backend_->upload(Tensor(data, dtype, shape), memory.view(dtype, shape));
    return memory.view(dtype, shape);
  }

  OptimizerOptions options_;
  std::unique_ptr<Backend> backend_;
  ParameterArena arena_;
  std::vector<Piece> pieces_;
  std::unique_ptr<Optimizer> optimizer_;
  Buffer gradient_memory_, state_memory_;
};

class GoldenOptimizers : public testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, GoldenOptimizers, testing::ValuesIn(test::devices()),
                         [](const auto& each) { return test::device_name(each.param); });

struct OptimizerCase {
  const char* name;
  OptimizerOptions options;
};
const std::vector<OptimizerCase> kCases{
    {"adam", {.kind = "adam"}},
    {"adamw", {.kind = "adamw"}},
    {"adamw-hf", {.kind = "adamw-hf", .epsilon = 1e-6}},
    {"adamw-hf-uncorrected", {.kind = "adamw-hf", .epsilon = 1e-6, .correct_bias = false}},
    {"lamb", {.kind = "lamb", .epsilon = 1e-6}},
    {"nvlamb", {.kind = "nvlamb", .epsilon = 1e-6}},
    {"nvlamb-all", {.kind = "nvlamb", .epsilon = 1e-6, .use_nvlamb = true}},
};

TEST_P(GoldenOptimizers, TenStepsInOnePieceAndInSeveral) {
  const Fixture fixture("optimizers");
  for (const OptimizerCase& c : kCases)
    for (const std::vector<Piece>& pieces : {kWhole, kTwoPieces}) {
      FourParameters four(GetParam(), c.options, pieces);
      for (int64_t t = 0; t < 10; ++t) four.step(t);
      for (const Parameter& p : four.arena().parameters()) {
        const std::vector<float>& expected = fixture.floats(std::string(c.name) + "." + p.name);
        const std::vector<float> all = four.values(p.name);
        const size_t stride = p.name == "b.weight" ? 29 : 1;
        // A step moves a weight by at most about its rate r (times LAMB's ratio, of order 1 here) with a relative error of some roundings,
        // and rounds the weight: 10 (8 r u + |w| u), u = 2^-24, r = 0.01, |w| < 0.6; times 4.
        constexpr double kTolerance = 4 * 10 * (8 * 0.01 + 0.6) * 0x1p-24;
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(all[i * stride], expected[i], kTolerance)
              << c.name << " " << p.name << "[" << i * stride << "] in " << pieces.size() << " pieces";
      }
    }
}

TEST_P(GoldenOptimizers, PiecesDoNotChangeOneBit) {
  for (const OptimizerCase& c : kCases) {
    FourParameters whole(GetParam(), c.options, kWhole), pieces(GetParam(), c.options, kTwoPieces);
    for (int64_t t = 0; t < 3; ++t) whole.step(t), pieces.step(t);
    for (const Parameter& p : whole.arena().parameters()) EXPECT_EQ(whole.values(p.name), pieces.values(p.name)) << c.name << " " << p.name;
  }
}

// Three ranks, each with its own third of every array: what a rank needs of the others passes through the sum alone. The sums of a step are
// found by running it on the ranks' copies until every exchange has what all ranks give.
TEST_P(GoldenOptimizers, ThreeRanksHaveTheBitsOfOne) {
  for (const OptimizerCase& c : kCases) {
    FourParameters one(GetParam(), c.options, kWhole);
    for (int64_t t = 0; t < 2; ++t) one.step(t);

    std::vector<std::vector<double>> sums;  // of the exchanges so far, in order
    const auto run_rank = [&](int64_t rank, const std::function<void(size_t, std::span<double>)>& exchange) {
      auto four = std::make_unique<FourParameters>(GetParam(), c.options, std::vector<Piece>{{rank * 4096, (rank + 1) * 4096, 0}});
      size_t call = 0;
      for (int64_t t = 0; t < 2; ++t)
        four->step(t, [&](const Tensor& numbers) { four->change(numbers, [&](std::span<double> host) { exchange(call++, host); }); });
      return four;
    };
    const auto replay = [&](size_t call, std::span<double> numbers) {
      if (call < sums.size()) std::ranges::copy(sums[call], numbers.begin());
    };
    for (size_t known = 0, calls = 1; known < calls; ++known) {
      std::vector<double> total;
      calls = 0;
      for (int64_t rank = 0; rank < 3; ++rank)
        run_rank(rank, [&](size_t call, std::span<double> numbers) {
          calls = std::max(calls, call + 1);
          if (call == known) total.resize(numbers.size());
          for (size_t i = 0; call == known && i < numbers.size(); ++i) total[i] += numbers[i];
          replay(call, numbers);
        });
      if (known < calls) sums.push_back(total);
    }
    for (int64_t rank = 0; rank < 3; ++rank) {
      const std::vector<float> found = run_rank(rank, replay)->values(), expected = one.values();
      const auto piece = [&](const std::vector<float>& all) {
        return std::vector<float>(all.begin() + rank * 4096, all.begin() + (rank + 1) * 4096);
      };
      EXPECT_EQ(piece(found), piece(expected)) << c.name << " rank " << rank;
    }
  }
}

// With bf16 values the masters are kept apart in fp32 and move as those of fp32 do; the values are they, rounded.
TEST_P(GoldenOptimizers, Bf16ValuesAreRoundedMasters) {
  for (const OptimizerCase& c : kCases) {
    FourParameters fp32(GetParam(), c.options, kTwoPieces), bf16(GetParam(), c.options, kTwoPieces, DType::kBFloat16);
    EXPECT_EQ(fp32.optimizer().buffers().size(), 2u);
    ASSERT_EQ(bf16.optimizer().buffers().size(), 3u);
    EXPECT_EQ(bf16.optimizer().buffers()[2].first, "master");
    for (int64_t t = 0; t < 3; ++t) fp32.step(t), bf16.step(t);
    for (const Parameter& p : fp32.arena().parameters()) {
      std::vector<float> rounded;
      for (const float w : fp32.values(p.name)) rounded.push_back(static_cast<float>(bfloat16(w)));
      EXPECT_EQ(bf16.values(p.name), rounded) << c.name << " " << p.name;
    }
  }
}

TEST(GoldenSchedules, EveryStepOfTransformers) {
  const Fixture fixture("schedules");
  for (const char* kind : {"constant", "linear", "cosine", "polynomial"}) {
    const ScheduleOptions options{
        .kind = kind, .peak = 2e-3, .end = kind == std::string("polynomial") ? 1e-4 : 0, .power = 2, .warmup_steps = 7, .total_steps = 40};
    const std::vector<float>& expected = fixture.floats(kind);
    ASSERT_EQ(expected.size(), 41u);
    for (size_t step = 0; step < expected.size(); ++step)
      EXPECT_NEAR(learning_rate(options, static_cast<int64_t>(step)), expected[step], 2e-3 * 0x1p-24) << kind << " step " << step;
  }
}

}  // namespace
}  // namespace mpibert
