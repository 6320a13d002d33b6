#include "mpibert/train/rates.h"

#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

using test::expect_error;

class Rates : public testing::Test {
 protected:
  float rate(const std::string& name) { return arena.find(name).rate; }
  ParameterArena arena;
  Model model{test::tiny_config(), arena, test::classification_head(2)};
};

TEST_F(Rates, FallByLayersFromTheHeadsDown) {
  set_rates(arena, {.layer_decay = 0.5});
  EXPECT_EQ(rate("classifier.weight"), 1);
  EXPECT_EQ(rate("bert.pooler.dense.bias"), 1);
  EXPECT_EQ(rate("bert.encoder.layer.1.output.dense.weight"), 0.5f);
  EXPECT_EQ(rate("bert.encoder.layer.0.attention.self.query.bias"), 0.25f);
  EXPECT_EQ(rate("bert.embeddings.LayerNorm.weight"), 0.125f);
}

TEST_F(Rates, OfWhatIsFrozenAreZero) {
  set_rates(arena, {.freeze_layers = 1, .layer_decay = 0.5});
  EXPECT_EQ(arena.first_trained(), arena.find("bert.encoder.layer.1.attention.self.query.weight").offset);
  EXPECT_EQ(rate("bert.embeddings.word_embeddings.weight"), 0);
  EXPECT_EQ(rate("bert.encoder.layer.1.output.dense.weight"), 0.5f);
  set_rates(arena, {.freeze = {"bert"}});
  EXPECT_EQ(arena.first_trained(), arena.find("classifier.weight").offset);
  set_rates(arena, {.freeze = {"bert.encoder.layer.1", "classifier.bias"}});
  EXPECT_EQ(rate("bert.encoder.layer.1.output.LayerNorm.bias"), 0);
  EXPECT_EQ(rate("classifier.bias"), 0);
  EXPECT_EQ(rate("classifier.weight"), 1);
  EXPECT_EQ(arena.first_trained(), 0);
}

TEST(RatesOfConstants, StayZero) {
  BertConfig config = test::tiny_config();
  config.position_embedding_type = "sinusoidal";
  ParameterArena arena;
  const Model model(config, arena, test::classification_head(2));
  set_rates(arena, {.layer_decay = 0.5});
  EXPECT_EQ(arena.find("bert.embeddings.position_embeddings.weight").rate, 0);
  EXPECT_EQ(arena.find("bert.embeddings.word_embeddings.weight").rate, 0.125f);
}

TEST_F(Rates, WrongNamesAndNumbersAreRefused) {
  const auto refused = [&](const RateOptions& options, const std::vector<std::string>& words) {
    expect_error(ErrorKind::kInvalidArgument, words, [&] { set_rates(arena, options); });
  };
  refused({.freeze = {"bert.encoder.layer"}, .layer_decay = 0}, {"layer decay 0"});
  refused({.freeze = {"bert.encode"}},
          {"'bert.encode'", "bert, bert.embeddings, bert.encoder.layer.0, bert.encoder.layer.1, bert.pooler, classifier"});
  refused({.freeze_layers = 3}, {"first 3 layers", "has 2"});
  refused({.freeze = {"bert", "classifier"}}, {"nothing is left to train"});
}

}  // namespace
}  // namespace mpibert
