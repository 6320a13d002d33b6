#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/tiny_model.h"

namespace mpibert {
namespace {

using test::expect_error;
using test::pack;
using test::Sequence;
using test::TinyModel;
using testing::ElementsAre;

std::vector<int32_t> ids(const char* name, int64_t count) {
  std::vector<int32_t> ids;
  for (const int k : test::hashed_numbers(name, count)) ids.push_back(1 + (k + 127) % 60);
  return ids;
}

const std::vector<Sequence> kSequences{{ids("first", 9), 0}, {ids("second", 1), 1}, {ids("third", 17), 2}, {ids("fourth", 5), 3}};

// A pre-training batch of some of kSequences: of every sequence the first token and every fourth after it is masked.
Batch pretraining_batch(const std::vector<size_t>& which) {
  std::vector<Sequence> sequences;
  std::vector<int32_t> positions, labels, next;
  int32_t start = 0;
  for (const size_t i : which) {
    const Sequence& s = sequences.emplace_back(kSequences[i]);
    for (size_t j = 0; j < s.input_ids.size(); j += 4) {
      positions.push_back(start + static_cast<int32_t>(j));
      labels.push_back((s.input_ids[j] * 7 + static_cast<int32_t>(j)) % 61);
    }
    next.push_back(static_cast<int32_t>(i % 2));
    start += static_cast<int32_t>(s.input_ids.size());
  }
  Batch batch = pack(sequences, 24);
  batch.add("masked_lm_positions", positions);
  batch.add("masked_lm_ids", labels);
  batch.add("next_sentence_labels", next);
  return batch;
}

// Where the answers of some of kSequences start and end; no answer of the second.
void add_answers(Batch& batch, const std::vector<size_t>& which) {
  const std::vector<int32_t> starts = {3, -1, 11, 4}, ends = {8, -1, 11, 4};
  std::vector<int32_t> first, last;
  for (const size_t i : which) {
    first.push_back(starts[i]);
    last.push_back(ends[i]);
  }
  batch.add("start_positions", first);
  batch.add("end_positions", last);
}

BertConfig with_dropout(float rate) {
  BertConfig config = test::tiny_config();
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = rate;
  return config;
}

double norm(const std::vector<float>& x) {
  double squares = 0;
  for (const float v : x) squares += double{v} * double{v};
  return std::sqrt(squares);
}

double relative_distance(const std::vector<float>& a, std::vector<float> b) {
  for (size_t i = 0; i < b.size(); ++i) b[i] -= a[i];
  return norm(b) / norm(a);
}

// As transformers has them: relative_key's table of positions is there, and nobody's.
TEST(ModelTest, DistanceEmbeddingsFollowTheBiasesOfTheirAttention) {
  BertConfig config = test::tiny_config();
  config.position_embedding_type = "relative_key";
  TinyModel tiny(config, test::pretraining_head());
  for (const std::string layer : {"bert.encoder.layer.0.", "bert.encoder.layer.1."}) {
    const Parameter& distances = tiny.arena.find(layer + "attention.self.distance_embedding.weight");
    EXPECT_EQ(distances.shape, (Shape{2 * 24 - 1, 16 / 2}));
    EXPECT_GE(distances.offset, tiny.arena.find(layer + "attention.self.value.bias").end());
    EXPECT_LE(distances.end(), tiny.arena.find(layer + "attention.output.dense.weight").offset);
    EXPECT_TRUE(distances.decay);
  }
  const Batch batch = pretraining_batch({0, 1, 2, 3});
  tiny.run(batch);
  const std::string table = "bert.embeddings.position_embeddings.weight";
  EXPECT_EQ(norm(tiny.gradient(table)), 0);
  EXPECT_GT(norm(tiny.gradient("bert.encoder.layer.1.attention.self.distance_embedding.weight")), 1e-4);
  tiny.forward(batch);
  const std::vector<float> before = tiny.logits(0);
  tiny.arena.find(table).value.span<float>()[0] += 1;
  tiny.forward(batch);
  EXPECT_EQ(tiny.logits(0), before);
}

TEST(ModelTest, ParametersHaveTransformersNamesInTheOrderOfForward) {
  BertConfig config = test::tiny_config();
  config.num_hidden_layers = 1;
  TinyModel tiny(config, test::pretraining_head());
  std::vector<std::string> names;
  for (const Parameter& p : tiny.arena.parameters()) names.push_back(p.name);
  const std::string layer = "bert.encoder.layer.0.";
  EXPECT_THAT(names,
              ElementsAre("bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight",
                          "bert.embeddings.token_type_embeddings.weight", "bert.embeddings.LayerNorm.weight",
                          "bert.embeddings.LayerNorm.bias", layer + "attention.self.query.weight", layer + "attention.self.key.weight",
                          layer + "attention.self.value.weight", layer + "attention.self.query.bias", layer + "attention.self.key.bias",
                          layer + "attention.self.value.bias", layer + "attention.output.dense.weight",
                          layer + "attention.output.dense.bias", layer + "attention.output.LayerNorm.weight",
                          layer + "attention.output.LayerNorm.bias", layer + "intermediate.dense.weight", layer + "intermediate.dense.bias",
                          layer + "output.dense.weight", layer + "output.dense.bias", layer + "output.LayerNorm.weight",
                          layer + "output.LayerNorm.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias",
                          "cls.predictions.transform.dense.weight", "cls.predictions.transform.dense.bias",
                          "cls.predictions.transform.LayerNorm.weight", "cls.predictions.transform.LayerNorm.bias", "cls.predictions.bias",
                          "cls.seq_relationship.weight", "cls.seq_relationship.bias"));
  for (const Parameter& p : tiny.arena.parameters())
    EXPECT_EQ(p.decay, !p.name.ends_with("bias") && p.name.find("LayerNorm") == std::string::npos) << p.name;
}

TEST(ModelTest, AModelThatPoolsNothingHasNoPoolerAndARowOfLogitsAToken) {
  TinyModel tiny(test::tiny_config(), test::question_answering_head(), DType::kFloat32, TinyModel::kLimits, false);
  for (const Parameter& p : tiny.arena.parameters()) EXPECT_FALSE(p.name.starts_with("bert.pooler.")) << p.name;
  tiny.forward(pretraining_batch({0, 1, 2, 3}));
  EXPECT_EQ(tiny.model.logits(0).shape(), (Shape{9 + 1 + 17 + 5, 2}));
}

// What is said to be final must not change afterwards, and all of it must be said once.
TEST(ModelTest, ReadyOffsetsDescendToZeroAndWhatIsReadyIsFinal) {
  for (const Model::MakeHead& make_head : {test::pretraining_head(), test::classification_head(3), test::question_answering_head()}) {
    TinyModel tiny(with_dropout(0.1f), make_head);
    Batch input = pretraining_batch({0, 1, 2, 3});
    input.add("labels", {2, 0, 1, 1});
    add_answers(input, {0, 1, 2, 3});
    std::vector<int64_t> offsets;
    std::vector<std::vector<float>> seen;
    tiny.run(input, [&](int64_t offset) {
      offsets.push_back(offset);
      seen.push_back(tiny.gradients());
    });
    const std::vector<float> last = tiny.gradients();
    EXPECT_EQ(offsets.size(), make_head.pooler() ? 5u : 4u) << "head, pooler, two layers, embeddings";
    EXPECT_TRUE(std::is_sorted(offsets.rbegin(), offsets.rend()));
    EXPECT_EQ(std::adjacent_find(offsets.begin(), offsets.end()), offsets.end());
    EXPECT_EQ(offsets.back(), 0);
    for (size_t i = 0; i < offsets.size(); ++i)
      EXPECT_TRUE(std::equal(last.begin() + offsets[i], last.end(), seen[i].begin() + offsets[i])) << "from " << offsets[i] << " on";
    for (const Parameter& p : tiny.arena.parameters()) {
      if (p.name.ends_with("key.bias")) continue;  // zero but for rounding: a softmax does not see what all keys share
      EXPECT_GT(norm(tiny.gradient(p.name)), 0) << p.name;
    }
  }
}

// Below the first trained parameter nothing is computed; from there on everything has the bits it has without.
TEST(ModelTest, BackwardEndsAtTheFirstTrainedParameter) {
  TinyModel tiny(with_dropout(0.1f), test::classification_head(3));
  Batch input = pretraining_batch({0, 1, 2, 3});
  input.add("labels", {2, 0, 1, 1});
  tiny.run(input);
  const std::vector<float> all = tiny.gradients();
  const auto part = [&](const std::string& first, int64_t calls) {
    SCOPED_TRACE(first);
    tiny.clear();
    const int64_t begin = tiny.first_trained = tiny.arena.find(first).offset;
    int64_t called = 0, last = -1;
    tiny.run(input, [&](int64_t offset) { ++called, last = offset; });
    EXPECT_EQ(called, calls);
    EXPECT_EQ(last, 0);
    const std::vector<float> found = tiny.gradients();
    EXPECT_TRUE(std::equal(all.begin() + begin, all.end(), found.begin() + begin));
  };
  part("classifier.weight", 1);
  EXPECT_EQ(norm(tiny.gradient("bert.pooler.dense.weight")), 0);
  part("bert.pooler.dense.weight", 2);
  EXPECT_EQ(norm(tiny.gradient("bert.encoder.layer.1.output.dense.weight")), 0);
  part("bert.encoder.layer.1.output.dense.weight", 3);  // in the middle of a layer: the whole layer
  EXPECT_EQ(norm(tiny.gradient("bert.encoder.layer.0.output.dense.weight")), 0);
  part("bert.encoder.layer.0.attention.self.query.weight", 4);
  EXPECT_EQ(norm(tiny.gradient("bert.embeddings.word_embeddings.weight")), 0);
  part("bert.embeddings.word_embeddings.weight", 5);
}

// BertForMaskedLM is BertForPreTraining without the pooler and the next sentence: the same numbers, to the bit.
TEST(ModelTest, MaskedLmAloneIsPretrainingWithoutNextSentences) {
  TinyModel both(with_dropout(0.1f), test::pretraining_head()), alone(with_dropout(0.1f), test::masked_lm_head());
  EXPECT_EQ(alone.arena.parameters().size() + 4, both.arena.parameters().size());
  std::vector<Sequence> sequences = {kSequences[0], kSequences[2]};
  const auto batch = [&] {
    Batch made = pack(sequences, 24);
    made.add("masked_lm_positions", {1, 5, 12});
    made.add("masked_lm_ids", {7, 60, 2});
    return made;
  };
  int64_t calls = 0, last = -1;
  both.run(batch());
  alone.run(batch(), [&](int64_t offset) { ++calls, last = offset; });
  EXPECT_EQ(calls, 4) << "head, two layers, embeddings";
  EXPECT_EQ(last, 0);
  EXPECT_GT(alone.loss_sum(0), 0);
  EXPECT_EQ(alone.loss_sum(0), both.loss_sum(0));
  for (const Parameter& p : alone.arena.parameters()) EXPECT_EQ(alone.gradient(p.name), both.gradient(p.name)) << p.name;
}

// As fill-mask asks: positions, no ids.
TEST(ModelTest, MaskedLmHasLogitsWithoutLabels) {
  TinyModel tiny(test::tiny_config(), test::masked_lm_head());
  Batch labelled = pack({kSequences[0]}, 24), bare = pack({kSequences[0]}, 24);
  for (Batch* batch : {&labelled, &bare}) batch->add("masked_lm_positions", {2, 8});
  labelled.add("masked_lm_ids", {1, 1});
  tiny.forward(labelled);
  const std::vector<float> expected = tiny.logits(0);
  tiny.forward(bare);
  EXPECT_EQ(expected.size(), 2u * 61);
  EXPECT_EQ(tiny.logits(0), expected);
}

TEST(ModelTest, AnEncoderAloneGivesARowATokenAndIsNotTrained) {
  const Model::MakeHead encoder(
      [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<EncoderHead>(config, arena); }, false);
  TinyModel tiny(test::tiny_config(), encoder, DType::kFloat32, TinyModel::kLimits, false);
  for (const Parameter& p : tiny.arena.parameters()) EXPECT_TRUE(p.name.starts_with("bert.e")) << p.name;
  tiny.forward(pack({kSequences[0], kSequences[3]}, 24));
  const std::vector<float> packed = tiny.logits(0);
  ASSERT_EQ(packed.size(), 14u * 16);
  tiny.forward(pack({kSequences[3]}, 24));
  EXPECT_LT(relative_distance(tiny.logits(0), {packed.begin() + 9 * 16, packed.end()}), 1e-6);
  expect_error(ErrorKind::kInvalidArgument, {"without a head"}, [&] { TinyModel(test::tiny_config(), encoder); });
}

// Gradients are sums: one batch of four sequences or three micro-batches, scaled by the counts of the whole. Sums of some 50 terms in
// another order differ by sqrt(50) 2^-24 relatively; 48 roundings lie on the way of each (tests/golden/README.md).
TEST(ModelTest, MicroBatchesAddUpToTheWholeBatch) {
  constexpr double kTolerance = 2 * 0x1p-24 * 50;
  for (const Model::MakeHead& make_head : {test::pretraining_head(), test::classification_head(3), test::question_answering_head()}) {
    TinyModel whole(with_dropout(0.3f), make_head), parts(with_dropout(0.3f), make_head);
    const auto batch = [&](const std::vector<size_t>& which) {
      Batch made = pretraining_batch(which);
      std::vector<int32_t> labels;
      for (const size_t i : which) labels.push_back(static_cast<int32_t>(i % 3));
      made.add("labels", labels);
      add_answers(made, which);
      return made;
    };
    whole.run(batch({0, 1, 2, 3}));
    const std::vector<int64_t> counts = whole.model.head().count(batch({0, 1, 2, 3}));
    for (const auto& which : {std::vector<size_t>{2}, {0, 1}, {3}}) parts.run(batch(which), {}, counts);
    EXPECT_LT(relative_distance(whole.gradients(), parts.gradients()), kTolerance);
    for (int term = 0; term < static_cast<int>(counts.size()); ++term) {
      EXPECT_NEAR(whole.loss_sum(term), parts.loss_sum(term), 1e-5 * whole.loss_sum(term));
      EXPECT_EQ(whole.correct(term), parts.correct(term));
    }
  }
}

// The dropout of a token is that of its place in the global batch, wherever it is packed.
TEST(ModelTest, DropoutDependsOnTheSequencesPlaceAndNotOnPacking) {
  const auto loss = [&](const std::vector<size_t>& which, const std::function<void(TinyModel&)>& change = {}) {
    TinyModel tiny(with_dropout(0.5f), test::pretraining_head());
    if (change) change(tiny);
    tiny.run(pretraining_batch(which));
    return double{tiny.loss_sum(0)} + double{tiny.loss_sum(1)};
  };
  const double packed = loss({0, 1, 2, 3}), turned = loss({3, 2, 1, 0}), apart = loss({0}) + loss({1}) + loss({2}) + loss({3});
  EXPECT_NEAR(packed, turned, 1e-5 * packed);
  EXPECT_NEAR(packed, apart, 1e-5 * packed);
  EXPECT_GT(std::abs(packed - loss({0, 1, 2, 3}, [](TinyModel& tiny) { tiny.state.step = 4; })), 1e-2) << "another step, other masks";
  EXPECT_GT(std::abs(packed - loss({0, 1, 2, 3}, [](TinyModel& tiny) { tiny.state.seed = 6; })), 1e-2) << "another seed, other masks";
}

// The directional derivative of the loss along each parameter's gradient is the gradient's norm: with dropout everywhere, so that a mask
// which backward makes otherwise than forward shows. Differences of two losses in fp32 (8 terms of about 5) carry 1e-5 / (2 h).
TEST(ModelTest, GradientsWithDropoutAreThoseOfTheLoss) {
  for (const bool pretraining : {true, false}) {
    TinyModel tiny(with_dropout(0.2f), pretraining ? test::pretraining_head() : test::classification_head(3));
    Batch batch = pretraining_batch({0, 1, 2, 3});
    batch.add("labels", {2, 0, 1, 1});
    const auto loss = [&] {
      tiny.clear();
      tiny.run(batch);
      double sum = 0;
      for (size_t term = 0; term < tiny.model.head().terms().size(); ++term)
        sum += double{tiny.loss_sum(static_cast<int>(term))} * double{tiny.state.loss_weights[term]};
      return sum;
    };
    loss();
    const std::vector<float> all = tiny.gradients();
    for (const Parameter& p : tiny.arena.parameters()) {
      const std::vector<float> gradient(all.begin() + p.offset, all.begin() + p.end());
      const double length = norm(gradient);
      if (p.name.ends_with("key.bias")) {
        EXPECT_LT(length, 1e-5) << "a softmax does not see what all keys share";
        continue;
      }
      const std::span<float> values = p.value.span<float>();
      const std::vector<float> kept(values.begin(), values.end());
      const double h = 4e-3;
      const auto at = [&](double step) {
        for (size_t i = 0; i < kept.size(); ++i) values[i] = static_cast<float>(double{kept[i]} + step * double{gradient[i]} / length);
        return loss();
      };
      const double slope = (at(h) - at(-h)) / (2 * h);
      std::ranges::copy(kept, values.begin());
      EXPECT_NEAR(slope, length, 2e-2 * length + 1e-3) << p.name;
    }
  }
}

TEST(ModelTest, EvaluationHasNoDropoutAndKeepsLogits) {
  TinyModel dropping(with_dropout(0.5f), test::classification_head(3)), plain(with_dropout(0), test::classification_head(3));
  TinyModel evaluating(with_dropout(0.5f), test::classification_head(3), DType::kFloat32, TinyModel::kLimits, false);
  const Batch batch = pretraining_batch({0, 1, 2, 3});  // no labels: only logits
  for (TinyModel* tiny : {&dropping, &plain, &evaluating}) tiny->forward(batch);
  EXPECT_EQ(dropping.logits(0).size(), 12u);
  EXPECT_EQ(dropping.logits(0), plain.logits(0));
  EXPECT_EQ(evaluating.logits(0), plain.logits(0)) << "layers share their activations when nothing is kept";
  EXPECT_EQ(dropping.loss_sum(0), 0);
}

TEST(ModelTest, CountsRightAnswersAndLabels) {
  TinyModel tiny(test::tiny_config(), test::classification_head(3));
  Batch batch = pretraining_batch({0, 1, 2, 3});
  tiny.forward(batch);
  const std::vector<float> logits = tiny.logits(0);
  std::vector<int32_t> best;
  for (size_t i = 0; i < 4; ++i)
    best.push_back(static_cast<int32_t>(std::max_element(logits.begin() + 3 * i, logits.begin() + 3 * i + 3) - logits.begin() - 3 * i));
  best[1] = (best[1] + 1) % 3;
  best[3] = -100;
  batch.add("labels", best);
  EXPECT_THAT(tiny.model.head().count(batch), ElementsAre(3));
  tiny.forward(batch);
  EXPECT_EQ(tiny.correct(0), 2);
}

TEST(ModelTest, ABatchWithoutMaskedTokensOrWithoutNextSentencesTrainsWhatItHas) {
  TinyModel tiny(test::tiny_config(), test::pretraining_head());
  Batch unmasked = pack({kSequences[0]}, 24);
  unmasked.add("masked_lm_positions", {});
  unmasked.add("masked_lm_ids", {});
  unmasked.add("next_sentence_labels", {1});
  tiny.run(unmasked);
  EXPECT_THAT(tiny.model.head().count(unmasked), ElementsAre(0, 1));
  EXPECT_EQ(tiny.loss_sum(0), 0);
  EXPECT_GT(tiny.loss_sum(1), 0);
  EXPECT_EQ(norm(tiny.gradient("cls.predictions.bias")), 0);
  EXPECT_GT(norm(tiny.gradient("bert.pooler.dense.weight")), 0);

  tiny.clear();
  Batch single = pack({kSequences[0]}, 24);
  single.add("masked_lm_positions", {3});
  single.add("masked_lm_ids", {7});
  tiny.run(single);
  EXPECT_THAT(tiny.model.head().count(single), ElementsAre(1, 0));
  EXPECT_EQ(norm(tiny.gradient("bert.pooler.dense.weight")), 0);
  EXPECT_GT(norm(tiny.gradient("cls.predictions.bias")), 0);
}

TEST(ModelTest, AStepAllocatesNothingAndThePlanIsWhatIsAllocated) {
  TinyModel tiny(with_dropout(0.1f), test::pretraining_head());
  const auto backend = make_backend({});
  ParameterArena arena;
  Model model(test::tiny_config(), arena, test::pretraining_head());
  const int64_t bytes = model.plan(*backend, DType::kFloat32, TinyModel::kLimits, true);
  EXPECT_LT(model.plan(*backend, DType::kFloat32, TinyModel::kLimits, false), bytes) << "an evaluation keeps less";
  EXPECT_EQ(model.plan(*backend, DType::kFloat32, TinyModel::kLimits, true), bytes);
  const size_t before = backend->allocated_bytes();
  model.allocate(*backend);
  EXPECT_EQ(backend->allocated_bytes() - before, static_cast<size_t>(bytes));

  tiny.run(pretraining_batch({0}));
  const size_t used = tiny.backend->allocated_bytes();
  tiny.run(pretraining_batch({0, 1, 2, 3}));
  EXPECT_EQ(tiny.backend->allocated_bytes(), used);
}

TEST(ModelTest, RefusesBatchesBeyondThePlanBeforeAnyWork) {
  const auto refused = [](BatchLimits limits, std::vector<std::string> words) {
    TinyModel tiny(test::tiny_config(), test::pretraining_head(), DType::kFloat32, limits);
    expect_error(ErrorKind::kInvalidArgument, words, [&] { tiny.run(pretraining_batch({0, 1, 2, 3})); });
    EXPECT_EQ(norm(tiny.gradients()), 0);
  };
  const BatchLimits fits{.tokens = 32, .sequences = 4, .predictions = 11, .max_seq_length = 17};
  TinyModel exact(test::tiny_config(), test::pretraining_head(), DType::kFloat32, fits);
  exact.run(pretraining_batch({0, 1, 2, 3}));
  refused({.tokens = 31, .sequences = 4, .predictions = 11, .max_seq_length = 17}, {"tokens: 32", "planned for 31"});
  refused({.tokens = 32, .sequences = 3, .predictions = 11, .max_seq_length = 17}, {"sequences: 4", "planned for 3"});
  refused({.tokens = 32, .sequences = 4, .predictions = 10, .max_seq_length = 17}, {"masked positions: 11", "planned for 10"});
  refused({.tokens = 32, .sequences = 4, .predictions = 11, .max_seq_length = 16}, {"longest sequence of 17", "planned for 16"});
}

TEST(ModelTest, RefusesWhatTheModelCannotDo) {
  BertConfig config = test::tiny_config();
  config.num_attention_heads = 3;
  ParameterArena arena, empty;
  expect_error(ErrorKind::kInvalidArgument, {"hidden_size 16", "num_attention_heads 3"},
               [&] { Model(config, arena, test::pretraining_head()); });
  expect_error(ErrorKind::kInvalidArgument, {"word_embeddings"}, [&] { PretrainingHead(test::tiny_config(), empty); });
  expect_error(ErrorKind::kInvalidArgument, {"0 labels"}, [&] { SequenceClassificationHead(test::tiny_config(), arena, 0); });

  TinyModel short_positions(
      [] {
        BertConfig c = test::tiny_config();
        c.max_position_embeddings = 16;
        return c;
      }(),
      test::pretraining_head());
  expect_error(ErrorKind::kInvalidArgument, {"sequence of 17", "max_position_embeddings, 16"},
               [&] { short_positions.run(pretraining_batch({2})); });

  TinyModel evaluating(test::tiny_config(), test::pretraining_head(), DType::kFloat32, TinyModel::kLimits, false);
  expect_error(ErrorKind::kInvalidArgument, {"planned for evaluation"}, [&] { evaluating.run(pretraining_batch({0})); });

  TinyModel tiny(test::tiny_config(), test::classification_head(3));
  expect_error(ErrorKind::kInvalidArgument, {"no field 'labels'"}, [&] { tiny.run(pretraining_batch({0}), {}, {1}); });
}

}  // namespace
}  // namespace mpibert
