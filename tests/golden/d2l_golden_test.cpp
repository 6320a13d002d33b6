// pretrained.params of "Dive into Deep Learning" in both editions (generate/d2l_fixture.py), against the weights that went in. Their
// logits: model_golden_test.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "mpibert/interop/model_folder.h"
#include "tests/support/files.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

class GoldenD2l : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Editions, GoldenD2l, testing::Values("torch", "mxnet"), [](const auto& edition) { return edition.param; });

TEST_P(GoldenD2l, EveryTensorOfTheBooksModelIsFound) {
  BertConfig config = test::tiny_config("relu");
  config.tie_word_embeddings = config.embedding_layer_norm = false;
  const test::TinyModel tiny(config, test::pretraining_head());
  std::vector<WantedTensor> wanted;
  for (const Parameter& parameter : tiny.arena.parameters()) wanted.push_back({parameter.name, parameter.shape});
  const LoadReport report =
      load_weights(test::source_folder() / "tests/golden/fixtures/d2l" / GetParam(), wanted, {},
                   [&](const std::string& name, std::span<const float> values) {
                     EXPECT_TRUE(std::ranges::equal(values, test::closed_form_weights(name, static_cast<int64_t>(values.size())))) << name;
                   });
  EXPECT_EQ(report.loaded.size(), 45u);
  EXPECT_THAT(report.text(), testing::StrEq("45 tensors loaded (45 under other names)"));
}

}  // namespace
}  // namespace mpibert
