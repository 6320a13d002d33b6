// Logits, losses and every gradient against PyTorch and transformers in double precision (generate/model.py, multiple_choice.py,
// positions.py, d2l_fixture.py). Tolerances: README.md.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <tuple>

#include "mpibert/base/error.h"
#include "mpibert/optim/optimizer.h"
#include "mpibert/optim/schedule.h"
#include "mpibert/train/evaluator.h"
#include "tests/support/backends.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

using test::Fixture;
using test::TinyModel;

// A fixture on a backend, in a precision.
using GoldenCase = std::tuple<const char*, test::BackendCase>;
std::string case_name(const testing::TestParamInfo<GoldenCase>& info) {
  const auto& [fixture, on] = info.param;
  return str_cat(fixture, "_", test::device_name(on.device), "_", name_of(on.precision));
}

// Distances are relative to the larger of the tensor's norm and what it would be if the numbers of `whole` were spread evenly: gradients
// that are zero in exact arithmetic (the keys' biases) have no scale of their own.
double distance(const std::vector<float>& found, const std::vector<float>& expected, double root_mean_square) {
  EXPECT_EQ(found.size(), expected.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double{found[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference / std::max(norm, static_cast<double>(expected.size()) * root_mean_square * root_mean_square));
}

double tolerance(DType precision) {
  constexpr double kRoundings = 48, kLongestSum = 61, kSafety = 2;
  return precision == DType::kFloat32 ? kSafety * std::sqrt(kRoundings * kLongestSum) * 0x1p-24 : kSafety * std::sqrt(kRoundings) * 0x1p-8;
}

Batch batch_of(const Fixture& fixture) {
  const std::vector<int32_t>& starts = fixture.ints("cu_seqlens");
  std::vector<int32_t> lengths;
  for (size_t i = 1; i < starts.size(); ++i) lengths.push_back(starts[i] - starts[i - 1]);
  Batch batch;
  batch.set_extent(starts.back(), static_cast<int64_t>(lengths.size()), *std::max_element(lengths.begin(), lengths.end()),
                   fixture.has("choices") ? fixture.number("choices") : 1);
  for (const char* name : {"input_ids", "token_type_ids", "position_ids", "cu_seqlens"}) batch.add(name, fixture.ints(name));
  batch.add("token_keys", fixture.ints("position_ids"));
  batch.add("sequence_keys", std::vector<int32_t>(lengths.size()));
  const std::string head = fixture.attribute("head");
  if (head == "pretraining")
    for (const char* name : {"masked_lm_positions", "masked_lm_ids", "next_sentence_labels"}) batch.add(name, fixture.ints(name));
  if (head == "question_answering")
    for (const char* name : {"start_positions", "end_positions"}) batch.add(name, fixture.ints(name));
  if (head == "classification" || head == "tokens" || head == "multiple_choice") batch.add("labels", fixture.ints("labels"));
  if (head == "regression") {
    std::vector<int32_t> bits;
    for (const float label : fixture.floats("labels")) bits.push_back(std::bit_cast<int32_t>(label));
    batch.add("labels", bits, DType::kFloat32);
  }
  return batch;
}

BertConfig config_of(const Fixture& fixture) {
  BertConfig config = test::tiny_config(fixture.attribute("hidden_act"));
  if (fixture.has("position_embedding_type")) config.position_embedding_type = fixture.attribute("position_embedding_type");
  if (!fixture.has("edition")) return config;
  config.layer_norm_eps = 1e-5f;
  config.tie_word_embeddings = config.embedding_layer_norm = false;
  return config;
}

Model::MakeHead head_of(const Fixture& fixture) {
  const std::string head = fixture.attribute("head");
  if (head == "question_answering") return test::question_answering_head();
  if (head == "multiple_choice") return test::multiple_choice_head();
  if (head == "tokens") return test::token_head(fixture.number("num_labels"));
  return head == "pretraining" ? test::pretraining_head() : test::classification_head(fixture.number("num_labels"));
}

class Golden : public testing::TestWithParam<GoldenCase> {
 protected:
  test::BackendCase on = std::get<1>(GetParam());
  Fixture fixture{std::get<0>(GetParam())};
  TinyModel tiny{config_of(fixture), head_of(fixture), on.precision, TinyModel::kLimits, true, on.device};
  Batch batch = batch_of(fixture);
  double tolerance_ = tolerance(on.precision);
};

TEST_P(Golden, Logits) {
  tiny.forward(batch);
  EXPECT_LT(distance(tiny.logits(0), fixture.floats("logits"), 0), tolerance_);
  if (fixture.attribute("head") == "pretraining") {
    EXPECT_LT(distance(tiny.logits(1), fixture.floats("nsp_logits"), 0), tolerance_);
  }
}

TEST_P(Golden, LossesAreTheSameToTrainAndToEvaluate) {
  for (const bool train : {false, true}) {
    tiny.clear();
    tiny.forward(batch, train);
    const std::vector<float>& expected = fixture.floats("loss_sums");
    for (size_t term = 0; term < expected.size(); ++term)
      EXPECT_NEAR(tiny.loss_sum(static_cast<int>(term)), expected[term], tolerance_ * (1 + expected[term]))
          << "term " << term << " train " << train;
  }
}

TEST_P(Golden, EveryGradient) {
  tiny.run(batch);
  const std::vector<std::string> names = fixture.names("gradient.");
  std::set<std::string> expected_names(names.begin(), names.end()), found_names;
  for (const Parameter& p : tiny.arena.parameters()) found_names.insert(p.name);
  EXPECT_EQ(found_names, expected_names);

  double squares = 0, count = 0;
  for (const std::string& name : names)
    for (const float g : fixture.floats("gradient." + name)) squares += double{g} * double{g}, ++count;
  double worst = 0;
  for (const std::string& name : names) {
    const double found = distance(tiny.gradient(name), fixture.floats("gradient." + name), std::sqrt(squares / count));
    EXPECT_LT(found, tolerance_) << name;
    worst = std::max(worst, found);
  }
  RecordProperty("worst_of_tolerance", std::to_string(worst / tolerance_));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Golden,
                         testing::Combine(testing::Values("pretraining_gelu", "pretraining_gelu_new", "pretraining_sinusoidal",
                                                          "pretraining_relative_key", "pretraining_relative_key_query",
                                                          "pretraining_relative_key_value", "d2l", "classification", "regression", "tokens",
                                                          "question_answering", "multiple_choice"),
                                          testing::ValuesIn(test::backend_cases())),
                         case_name);

// The two gelus are different functions: a fixture of one must not pass for the other.
TEST(GoldenGelu, ErfAndTanhAreToldApart) {
  const Fixture fixture("pretraining_gelu_new");
  TinyModel tiny(test::tiny_config("gelu"), test::pretraining_head());
  const Batch batch = batch_of(fixture);
  tiny.forward(batch);
  EXPECT_GT(distance(tiny.logits(0), fixture.floats("logits"), 0), 3 * tolerance(DType::kFloat32));
}

// Ten steps as PyTorch makes them: warm-up, clipping by the norm, AdamW with decay of weights alone.
class GoldenTraining : public testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, GoldenTraining, testing::ValuesIn(test::devices()),
                         [](const auto& each) { return test::device_name(each.param); });

TEST_P(GoldenTraining, TenStepsOfAdamW) {
  const Fixture fixture("pretraining_relu_steps");
  TinyModel tiny(test::tiny_config("relu"), test::pretraining_head(), DType::kFloat32, TinyModel::kLimits, true, GetParam());
  const Buffer state_memory = tiny.backend->allocate(sizeof(StepState));
  const Tensor state_tensor = state_memory.view(DType::kUInt8, {kStepStateBytes});
  const Batch batch = batch_of(fixture);
  const std::vector<Piece> pieces{{0, tiny.arena.padded_size(), 0}};
  const auto optimizer = make_optimizer({.kind = "adamw", .epsilon = 1e-6, .weight_decay = 0.01}, *tiny.backend, tiny.arena, pieces);
  const NormBlocks blocks(*tiny.backend, tiny.arena.segments(), pieces);
  const Buffer cells_memory = tiny.backend->allocate(static_cast<size_t>(blocks.count()) * sizeof(double));
  const Tensor cells = cells_memory.view(DType::kFloat64, {blocks.count()});
  const ScheduleOptions schedule{.kind = "linear", .peak = 1e-2, .warmup_steps = 3, .total_steps = 12};
  for (int64_t step = 0; step < 10; ++step) {
    tiny.clear();
    tiny.run(batch);
    const double loss = double{tiny.loss_sum(0)} / 8 + double{tiny.loss_sum(1)} / 4;
    EXPECT_NEAR(loss, fixture.floats("losses")[static_cast<size_t>(step)], 1e-4) << "step " << step;
    blocks.squares(*tiny.backend, tiny.arena.gradients(), cells);
    StepState state{.learning_rate = static_cast<float>(learning_rate(schedule, step)), .applied_steps = step};
    tiny.backend->upload(Tensor(&state, DType::kUInt8, {kStepStateBytes}), state_tensor);
    tiny.backend->step_decision({.squares = cells, .rule = optimizer->rule(1), .state = state_tensor});
    optimizer->step(state_tensor, tiny.arena.gradients(), {});
    tiny.backend->download(state_tensor, Tensor(&state, DType::kUInt8, {kStepStateBytes}));
    EXPECT_NEAR(state.gradient_norm / fixture.floats("norms")[static_cast<size_t>(step)], 1, 1e-3) << "step " << step;
  }
  for (const std::string& name : fixture.names("weight.")) {
    if (name.ends_with("key.bias")) continue;  // gradient zero but for rounding, which Adam divides by itself: its steps mean nothing
    const std::vector<float>& expected = fixture.floats("weight." + name);
    // Relative to how far ten steps can move, their summed rates.
    EXPECT_LT(distance(host_floats(*tiny.backend, tiny.arena.find(name).value), expected, 0.06), 1e-3) << name;
  }
}

}  // namespace
}  // namespace mpibert
