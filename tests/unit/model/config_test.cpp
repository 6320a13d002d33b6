#include "mpibert/model/config.h"

#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert {
namespace {

using test::expect_error;

TEST(BertConfigTest, MissingKeysHaveTheDefaultsOfBertBase) { EXPECT_EQ(config_from_json("{}"), BertConfig{}); }

TEST(BertConfigTest, ReadsTheFieldsOfConfigJson) {
  const BertConfig config = config_from_json(R"({"model_type": "bert", "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 3,
    "num_attention_heads": 4, "intermediate_size": 80, "max_position_embeddings": 40, "type_vocab_size": 1, "hidden_act": "gelu_new",
    "position_embedding_type": "sinusoidal", "hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0, "classifier_dropout": 0.5, "layer_norm_eps": 1e-5, "initializer_range": 1})");
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.num_hidden_layers, 3);
  EXPECT_EQ(config.num_attention_heads, 4);
  EXPECT_EQ(config.intermediate_size, 80);
  EXPECT_EQ(config.max_position_embeddings, 40);
  EXPECT_EQ(config.type_vocab_size, 1);
  EXPECT_EQ(config.activation(), Activation::kGeluTanh);
  EXPECT_EQ(config.position_embedding(), PositionEmbedding::kSinusoidal);
  EXPECT_EQ(config.hidden_dropout_prob, 0.25f);
  EXPECT_EQ(config.attention_probs_dropout_prob, 0.0f);
  EXPECT_EQ(config.classifier_dropout, 0.5f);
  EXPECT_EQ(config.layer_norm_eps, 1e-5f);
  EXPECT_EQ(config.initializer_range, 1.0f);
}

TEST(BertConfigTest, ActivationsAreThoseOfTheField) {
  const auto activation = [](const char* name) { return BertConfig{.hidden_act = name}.activation(); };
  EXPECT_EQ(activation("gelu"), Activation::kGelu);
  EXPECT_EQ(activation("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(activation("gelu_pytorch_tanh"), Activation::kGeluTanh);
  EXPECT_EQ(activation("relu"), Activation::kRelu);
  expect_error(ErrorKind::kInvalidArgument, {"'swish'", "gelu, gelu_new, gelu_pytorch_tanh, relu"}, [&] { activation("swish"); });
}

TEST(BertConfigTest, UnknownKeysSurviveARoundTripAndNumbersStayShort) {
  const BertConfig config =
      config_from_json(R"({"id2label": {"0": "no", "1": "yes"}, "pad_token_id": 0, "architectures": ["BertForPreTraining"],
    "model_type": "bert", "classifier_dropout": null, "hidden_size": 128, "num_attention_heads": 2})");
  const std::string text = config_to_json(config);
  EXPECT_EQ(config_from_json(text), config);
  EXPECT_EQ(config_to_json(config_from_json(text)), text);
  for (const char* part : {R"("id2label": {)", R"("1": "yes")", R"("pad_token_id": 0)", R"("BertForPreTraining")",
                           R"("hidden_dropout_prob": 0.1,)", R"("classifier_dropout": null)", R"("layer_norm_eps": 1e-12,)"})
    EXPECT_THAT(text, testing::HasSubstr(part));
}

TEST(BertConfigTest, WritesWhatFewModelsHaveOnlyWhereTheyHaveIt) {
  const BertConfig config = config_from_json(R"({"model_type": "bert", "tie_word_embeddings": false, "embedding_layer_norm": false})");
  EXPECT_FALSE(config.tie_word_embeddings || config.embedding_layer_norm);
  EXPECT_EQ(config_from_json(config_to_json(config)), config);
  EXPECT_THAT(config_to_json(config), testing::HasSubstr(R"("embedding_layer_norm": false)"));
  EXPECT_THAT(config_to_json({}),
              testing::Not(testing::AnyOf(testing::HasSubstr("tie_word_embeddings"), testing::HasSubstr("embedding_layer_norm"))));
  expect_error(ErrorKind::kCorrupt, {"embedding_layer_norm: expected true or false, found \"no\""},
               [] { config_from_json(R"({"embedding_layer_norm": "no"})"); });
}

TEST(BertConfigTest, KnowsMindsporesRelativePositions) {
  const BertConfig config = config_from_json(R"({"use_relative_positions": true})");
  EXPECT_EQ(config.position_embedding(), PositionEmbedding::kRelativeKeyValue);
  EXPECT_EQ(config_from_json(config_to_json(config)).position_embedding(), PositionEmbedding::kRelativeKeyValue);
  EXPECT_EQ(config_from_json(R"({"use_relative_positions": false})").position_embedding(), PositionEmbedding::kAbsolute);
}

TEST(BertConfigTest, WritesTheModelTypeThatAReaderNeeds) { EXPECT_THAT(config_to_json({}), testing::HasSubstr(R"("model_type": "bert")")); }

TEST(BertConfigTest, RefusesModelsItWouldComputeWrongly) {
  const auto refused = [](const char* text, std::vector<std::string> words) {
    expect_error(ErrorKind::kInvalidArgument, words, [&] { config_from_json(text, "folder/config.json"); });
  };
  refused(R"({"model_type": "roberta"})", {"folder/config.json", "model_type", "\"roberta\"", "\"bert\""});
  refused(R"({"position_embedding_type": "rotary"})", {"folder/config.json", "position_embedding_type 'rotary'",
                                                       "absolute, sinusoidal, relative_key, relative_key_query, relative_key_value"});
  refused(R"({"use_relative_positions": true, "position_embedding_type": "absolute"})",
          {"folder/config.json", "use_relative_positions", "'absolute'", "expected 'relative_key_value'"});
  refused(R"({"is_decoder": true})", {"is_decoder"});
  refused(R"({"pruned_heads": {"0": [1]}})", {"pruned_heads"});
  refused(R"({"hidden_act": "silu"})", {"folder/config.json", "silu"});
  refused(R"({"hidden_size": 100, "num_attention_heads": 12})", {"hidden_size 100", "num_attention_heads 12"});
  refused(R"({"vocab_size": 0})", {"vocab_size 0"});
  refused(R"({"num_hidden_layers": -1})", {"num_hidden_layers -1"});
  refused(R"({"vocab_size": 3000000000})", {"vocab_size 3000000000"});
  refused(R"({"hidden_dropout_prob": 1})", {"hidden_dropout_prob 1"});
  refused(R"({"classifier_dropout": -0.5})", {"classifier_dropout -0.5"});
}

TEST(BertConfigTest, RefusesTextThatIsNoConfiguration) {
  const auto corrupt = [](const char* text, std::vector<std::string> words) {
    expect_error(ErrorKind::kCorrupt, words, [&] { config_from_json(text, "c.json"); });
  };
  corrupt("", {"c.json", "JSON object"});
  corrupt("[1]", {"c.json", "JSON object"});
  corrupt(R"({"vocab_size": 100)", {"c.json", "JSON object"});
  corrupt(R"({"vocab_size": "100"})", {"c.json", "vocab_size", "a whole number", "\"100\""});
  corrupt(R"({"vocab_size": 1.5})", {"vocab_size", "1.5"});
  corrupt(R"({"layer_norm_eps": null})", {"layer_norm_eps", "a number", "null"});
  corrupt(R"({"hidden_act": 3})", {"hidden_act", "a string"});
  corrupt(R"({"use_relative_positions": 1})", {"use_relative_positions", "true or false"});
}

TEST(BertConfigTest, ReadsAFileAndNamesItInErrors) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "config.json", R"({"model_type": "t5"})");
  expect_error(ErrorKind::kInvalidArgument, {(folder / "config.json").string(), "t5"}, [&] { read_config(folder / "config.json"); });
  expect_error(ErrorKind::kNotFound, {"absent.json"}, [&] { read_config(folder / "absent.json"); });
}

TEST(BertConfigTest, FlopsOfATrainingStepAreThoseOfTheFormula) {
  BertConfig config;
  const double h = 768, t = 512 + 100, squares = 512.0 * 512 + 100.0 * 100, p = 90;
  EXPECT_DOUBLE_EQ(training_flops(config, 612, squares, 90), 12 * (72 * h * h * t + 12 * h * squares) + 6 * p * (h * h + h * 30522));
  config.intermediate_size = 768;
  EXPECT_DOUBLE_EQ(training_flops(config, 612, 0, 0), 12 * 36 * h * h * t);
  config.position_embedding_type = "relative_key";
  EXPECT_DOUBLE_EQ(training_flops(config, 612, squares, 0), 12 * (36 * h * h * t + 18 * h * squares));
  for (const char* type : {"relative_key_query", "relative_key_value"}) {
    config.position_embedding_type = type;
    EXPECT_DOUBLE_EQ(training_flops(config, 612, squares, 0), 12 * (36 * h * h * t + 24 * h * squares));
  }
}

}  // namespace
}  // namespace mpibert
