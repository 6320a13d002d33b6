#include "mpibert/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

using test::expect_error;

class OptimizerTest : public testing::Test {
 protected:
  OptimizerTest() {
    arena.add("weight", {100, 50}, Init::kOne, true);
    arena.add("bias", {50}, Init::kOne, false);
    arena.allocate(*backend, DType::kFloat32, 8192);
    std::vector<float> masters(8192);
    arena.initialize(0, 0, host(masters));
    arena.set_values(*backend, host(masters));
  }
  Tensor host(std::vector<float>& numbers) { return host_tensor(std::span(numbers), {static_cast<int64_t>(numbers.size())}); }
  void step(Optimizer& optimizer, float gradient, int64_t t, float scale = 1) {
    std::vector<float> gradients(static_cast<size_t>(owned_size(optimizer.pieces())), gradient);
    StepState state{.learning_rate = 0.1f, .loss_scale = 1.0 / static_cast<double>(scale), .applied_steps = t - 1};
    const Tensor bytes(&state, DType::kUInt8, {kStepStateBytes});
    std::vector<double> squares{1};
    backend->step_decision({.squares = host_tensor(std::span(squares), {1}), .rule = optimizer.rule(), .state = bytes});
    optimizer.step(bytes, host(gradients), {});
  }
  float weight(size_t i) { return arena.values().span<float>()[i]; }

  std::unique_ptr<Backend> backend = make_backend({});
  ParameterArena arena;
};

TEST_F(OptimizerTest, TheFirstStepIsTheRateAgainstTheGradientsSignAndDecayIsForWeightsAlone) {
  const auto adamw = make_optimizer({.kind = "adamw", .weight_decay = 0.5}, *backend, arena, {{0, 8192, 0}});
  step(*adamw, 3, 1);
  EXPECT_NEAR(weight(0), 1 - 0.1 * 0.5 - 0.1, 1e-6);
  EXPECT_NEAR(weight(4999), 1 - 0.1 * 0.5 - 0.1, 1e-6);
  EXPECT_NEAR(weight(5120), 1 - 0.1, 1e-6) << "the bias";
}

TEST_F(OptimizerTest, OnlyOwnedPiecesMove) {
  const auto adamw = make_optimizer({.weight_decay = 0}, *backend, arena, {{4096, 8192, 0}});
  step(*adamw, 1, 1);
  EXPECT_EQ(weight(4095), 1);
  EXPECT_NEAR(weight(4096), 0.9, 1e-6);
  EXPECT_EQ(adamw->buffers()[0].first, "exp_avg");
  EXPECT_EQ(adamw->buffers()[0].second.size(), 4096);
}

TEST_F(OptimizerTest, TheGradientIsScaledBeforeItEntersTheMoments) {
  const auto adamw = make_optimizer({}, *backend, arena, {{0, 8192, 0}});
  step(*adamw, 8, 1, 0.25f);
  EXPECT_NEAR(adamw->buffers()[0].second.span<float>()[7], 0.1 * 2, 1e-6);
  EXPECT_NEAR(adamw->buffers()[1].second.span<float>()[7], 0.001 * 4, 1e-6);
}

// 1 - beta of the betas as given: of betas rounded to fp32 the second moment would be off by 1e-5 of itself.
TEST_F(OptimizerTest, TheShareOfANewGradientIsThatOfTheBetasInDoublePrecision) {
  for (const char* kind : {"adam", "adamw", "adamw-hf", "lamb", "nvlamb"}) {
    const auto optimizer = make_optimizer({.kind = kind, .weight_decay = 0}, *backend, arena, {{0, 8192, 0}});
    step(*optimizer, 1, 1);
    EXPECT_EQ(optimizer->buffers()[0].second.span<float>()[7], 0.1f) << kind;
    EXPECT_EQ(optimizer->buffers()[1].second.span<float>()[7], 0.001f) << kind;
  }
}

TEST_F(OptimizerTest, LambMovesByTheRateTimesTheWeightsNorm) {
  const auto lamb = make_optimizer({.kind = "lamb", .weight_decay = 0}, *backend, arena, {{0, 8192, 0}});
  step(*lamb, 0.3f, 1);
  // All weights are 1 and all directions 1: the ratio is 1 for both parameters.
  EXPECT_NEAR(weight(0), 0.9, 1e-6);
  step(*lamb, 0.3f, 2);
  EXPECT_NEAR(weight(0), 0.9 - 0.1 * 0.9, 1e-6) << "the ratio has become 0.9";
}

// A share of the rate is as good as the rate itself, decay included; what is frozen stays to the bit, and so do its moments.
TEST_F(OptimizerTest, EachParameterTakesItsShareOfTheRate) {
  for (const char* kind : {"adam", "adamw", "adamw-hf", "lamb", "nvlamb"}) {
    SCOPED_TRACE(kind);
    std::vector<float> ones(8192, 1);
    const auto weights_after = [&](float rate_of_weight, float rate_of_bias) {
      arena.set_rate("weight", rate_of_weight);
      arena.set_rate("bias", rate_of_bias);
      arena.set_values(*backend, host(ones));
      const auto optimizer = make_optimizer({.kind = kind, .weight_decay = std::string(kind) == "adamw-hf" ? 0 : 0.25}, *backend, arena,
                                            {{0, 8192, 0}});  // its decay comes second
      step(*optimizer, 3, 1);
      EXPECT_EQ(optimizer->buffers()[0].second.span<float>()[5120] == 0, rate_of_bias == 0) << "the moment";
      return std::pair(weight(0), weight(5120));
    };
    const auto [weight1, bias1] = weights_after(1, 1);
    const auto [weight_half, bias_quarter] = weights_after(0.5f, 0.25f);
    EXPECT_NEAR(1 - weight_half, (1 - weight1) / 2, 1e-6);
    EXPECT_NEAR(1 - bias_quarter, (1 - bias1) / 4, 1e-6);
    const auto [weight, bias] = weights_after(1, 0);
    EXPECT_EQ(weight, weight1);
    EXPECT_EQ(bias, 1);
  }
}

TEST_F(OptimizerTest, MastersAreTakenInOwnedPieces) {
  ParameterArena bf16;
  bf16.add("weight", {8192}, Init::kZero, true);
  bf16.allocate(*backend, DType::kBFloat16, 8192);
  const auto optimizer = make_optimizer({}, *backend, bf16, {{0, 4096, 4096}, {4096, 8192, 0}});
  std::vector<float> masters(8192);
  for (size_t i = 0; i < masters.size(); ++i) masters[i] = static_cast<float>(i) + 0.001f;
  optimizer->set_masters(host(masters));
  const std::span<float> owned = optimizer->buffers()[2].second.span<float>();
  EXPECT_EQ(owned[4096], masters[0]);
  EXPECT_EQ(owned[0], masters[4096]);
}

TEST_F(OptimizerTest, RefusesUnknownKindsAndOptionsOutOfRange) {
  const auto refused = [&](OptimizerOptions options, std::vector<std::string> words, std::vector<Piece> pieces = {}) {
    expect_error(ErrorKind::kInvalidArgument, words, [&] { make_optimizer(options, *backend, arena, pieces); });
  };
  refused({.kind = "sgd"}, {"'sgd'", "adam, adamw, adamw-hf, lamb or nvlamb"});
  refused({.beta1 = 1}, {"beta1 1"});
  refused({.beta2 = -0.1}, {"beta2 -0.1"});
  refused({.epsilon = 0}, {"epsilon 0"});
  refused({.weight_decay = -1}, {"weight_decay -1"});
  refused({}, {"[0, 9000)", "8192"}, {{0, 9000, 0}});
  ParameterArena empty;
  expect_error(ErrorKind::kInvalidArgument, {"before the parameters are allocated"}, [&] { make_optimizer({}, *backend, empty, {}); });
}

}  // namespace
}  // namespace mpibert
