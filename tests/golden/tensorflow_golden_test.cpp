// Google's checkpoints as TensorFlow wrote them (generate/tensorflow_fixture.py), against the weights that went in and the logits that
// transformers computes of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "mpibert/interop/model_folder.h"
#include "tests/support/files.h"
#include "tests/support/tiny_model.h"

namespace mpibert {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

namespace {

const std::filesystem::path kFolder = test::source_folder() / "tests/golden/fixtures/tensorflow";

// Loads the parameters of the pre-training model, each of which has to have the numbers that the generator gave it.
LoadReport load(const std::string& checkpoint, const std::vector<std::string>& head_prefixes = {}) {
  const test::TinyModel tiny(test::tiny_config(), test::pretraining_head());
  std::vector<WantedTensor> wanted;
  for (const Parameter& parameter : tiny.arena.parameters()) wanted.push_back({parameter.name, parameter.shape});
  return load_weights(kFolder / checkpoint, wanted, head_prefixes, [&](const std::string& name, std::span<const float> values) {
    EXPECT_TRUE(std::ranges::equal(values, test::closed_form_weights(name, static_cast<int64_t>(values.size())))) << name;
  });
}

// The logits of these weights are those of pretraining_gelu.golden (model_golden_test.cpp).
TEST(GoldenTensorflow, EveryTensorOfGooglesModelIsFoundAndNothingIsDroppedUnsaid) {
  const LoadReport report = load("bert_model.ckpt");
  EXPECT_EQ(report.loaded.size(), 46u);
  EXPECT_EQ(report.training_state.size(), 11u) << "adam_m and adam_v of five tensors, and the step";
  EXPECT_THAT(report.text(), AllOf(HasSubstr("46 tensors loaded (46 under other names)"),
                                   HasSubstr("state of its training, left out (11): bert/embeddings/LayerNorm/beta/adam_m")));
}

TEST(GoldenTensorflow, EveryTensorOfTheModelGardensIsFoundAndItsHeadIsNew) {
  const LoadReport report = load("garden.ckpt", {"cls.seq_relationship."});
  EXPECT_EQ(report.loaded.size(), 44u);
  EXPECT_THAT(report.fresh, UnorderedElementsAre("cls.seq_relationship.weight", "cls.seq_relationship.bias"));
  EXPECT_THAT(report.training_state, ElementsAre("_CHECKPOINTABLE_OBJECT_GRAPH"));
  EXPECT_THAT(report.ignored, ElementsAre("encoder/layer_with_weights-6/bias/.ATTRIBUTES/VARIABLE_VALUE",
                                          "encoder/layer_with_weights-6/kernel/.ATTRIBUTES/VARIABLE_VALUE"))
      << "the pooler that was not trained, beside the one of next-sentence prediction";
}

}  // namespace
}  // namespace mpibert
