// Google's checkpoints as TensorFlow wrote them (generate/tensorflow_fixture.py), against the weights that went in and the logits that transformers computes of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "mpibert/interop/model_folder.h"
#include "tests/support/files.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

const std::filesystem::path kFolder = test::source_folder() / "tests/golden/fixtures/tensorflow";

std::vector<WantedTensor> wanted_of(const ParameterArena& arena) {
  std::vector<WantedTensor> wanted;
  for (const Parameter& parameter : arena.parameters()) wanted.push_back({parameter.name, parameter.shape});
  return wanted;
}

TEST(GoldenTensorflow, EveryTensorOfGooglesModelIsFoundAndNothingIsDroppedUnsaid) {
  const test::TinyModel tiny(test::tiny_config(), test::pretraining_head());
  const LoadReport report = load_weights(kFolder / "bert_model.ckpt", wanted_of(tiny.arena), {}, [&](const std::string& name, std::span<const float> values) {
    EXPECT_TRUE(std::ranges::equal(values, test::closed_form_weights(name, static_cast<int64_t>(values.size())))) << name;
  });
  EXPECT_EQ(report.loaded.size(), tiny.arena.parameters().size());
  EXPECT_EQ(report.training_state.size(), 11u) << "adam_m and adam_v of five tensors, and the step";
  EXPECT_THAT(report.text(), testing::AllOf(testing::HasSubstr("46 tensors loaded (46 under other names)"),
                                            testing::HasSubstr("state of its training, left out (11): bert/embeddings/LayerNorm/beta/adam_m")));
}

}  // namespace
}  // namespace mpibert
