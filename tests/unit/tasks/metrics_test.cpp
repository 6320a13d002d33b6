#include "mpibert/tasks/metrics.h"

#include <bit>
#include <cmath>
#include <vector>

#include "mpibert/tasks/task.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

// By hand: 6 of 8 right; TP 3, FP 1, FN 1: precision 3/4, recall 3/4.
TEST(Metrics, GiveTheValuesComputedByHand) {
  const std::vector<int32_t> labels = {1, 1, 1, 1, 0, 0, 0, 0}, predicted = {1, 1, 1, 0, 1, 0, 0, 0};
  EXPECT_DOUBLE_EQ(accuracy(predicted, labels), 0.75);
  EXPECT_DOUBLE_EQ(f1(predicted, labels), 0.75);
  // TP 1, FP 0, FN 2: precision 1, recall 1/3, F1 = 2 * 1/3 / (4/3).
  EXPECT_DOUBLE_EQ(f1(std::vector<int32_t>{1, 0, 0, 0}, std::vector<int32_t>{1, 1, 1, 0}), 0.5);
  EXPECT_DOUBLE_EQ(f1(labels, labels), 1.0);
}

TEST(Metrics, F1WithoutPositivesIsZero) {
  EXPECT_DOUBLE_EQ(f1(std::vector<int32_t>{0, 0}, std::vector<int32_t>{0, 0}), 0.0);
  EXPECT_DOUBLE_EQ(f1(std::vector<int32_t>{0, 0}, std::vector<int32_t>{1, 0}), 0.0);
  EXPECT_DOUBLE_EQ(f1(std::vector<int32_t>{1, 1}, std::vector<int32_t>{0, 0}), 0.0);
}

TEST(Metrics, RefuseUnequalSizes) {
  expect_contains(error_of(ErrorKind::kInvalidArgument,
                           [] {
                             accuracy(std::vector<int32_t>{1}, std::vector<int32_t>{1, 2});
                           }),
                  {"1 predictions", "2 labels"});
  EXPECT_FALSE(error_of(ErrorKind::kInvalidArgument, [] { f1({}, {}); }).empty());
}

TEST(Score, TakesTheLargestLogitInAnyOrderOfSamples) {
  const Task task = make_task("mrpc");
  const std::vector<int32_t> labels = {1, 0, 1};
  const std::vector<Prediction> predictions = {{2, {0.5f, -1.0f}}, {0, {-3.0f, 2.0f}}, {1, {1.0f, 1.0f}}};  // of equal logits the first
  const Scores scores = score(task, predictions, labels);
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_EQ(scores[0].first, "accuracy");
  EXPECT_DOUBLE_EQ(scores[0].second, 2.0 / 3.0);
  EXPECT_EQ(scores[1].first, "f1");
  EXPECT_DOUBLE_EQ(scores[1].second, 2.0 / 3.0);
}

TEST(Score, WantsEverySampleOnce) {
  const Task task = make_task("sst2");
  const std::vector<int32_t> labels = {1, 0};
  const auto refused = [&](const std::vector<Prediction>& predictions) {
    return error_of(ErrorKind::kInvalidArgument, [&] { score(task, predictions, labels); });
  };
  expect_contains(refused({{0, {1, 2}}}), {"1 predictions of 2"});
  expect_contains(refused({{0, {1, 2}}, {0, {1, 2}}}), {"sample 0 is predicted twice"});
  expect_contains(refused({{0, {1, 2}}, {2, {1, 2}}}), {"sample 2 of 2"});
  expect_contains(refused({{0, {1, 2}}, {1, {1, 2, 3}}}), {"3 logits, expected 2"});
}

TEST(Score, OfARegressionIsOfItsNumbersAndConstantOnesHaveNoCorrelation) {
  const Task task = make_task("stsb");
  const auto label = [](float value) { return std::bit_cast<int32_t>(value); };
  const std::vector<int32_t> labels = {label(1), label(2), label(4)};
  const Scores scores = score(task, std::vector<Prediction>{{2, {8}}, {0, {2}}, {1, {4}}}, labels);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(scores[0].first, "pearson");
  EXPECT_NEAR(scores[0].second, 1, 1e-15);
  EXPECT_NEAR(scores[1].second, 1, 1e-15);
  const Scores other = score(task, std::vector<Prediction>{{0, {1}}, {1, {9}}, {2, {8}}}, labels);
  EXPECT_NEAR(other[1].second, 0.5, 1e-15);
  EXPECT_DOUBLE_EQ(other[2].second, (other[0].second + other[1].second) / 2);
  for (const auto& [name, value] : score(task, std::vector<Prediction>{{0, {3}}, {1, {3}}, {2, {3}}}, labels))
    EXPECT_TRUE(std::isnan(value)) << name;
}

TEST(Submission, IsWhatGlueTakes) {
  EXPECT_EQ(submission_text(make_task("cola"), std::vector<Prediction>{{1, {0, 1}}, {0, {1, 0}}}), "index\tprediction\n0\t0\n1\t1\n");
  EXPECT_EQ(submission_text(make_task("rte"), std::vector<Prediction>{{0, {0, 1}}, {1, {1, 0}}}),
            "index\tprediction\n0\tnot_entailment\n1\tentailment\n");
  EXPECT_EQ(submission_text(make_task("stsb"), std::vector<Prediction>{{0, {2.34567f}}, {1, {5.2f}}, {2, {-0.1f}}}),
            "index\tprediction\n0\t2.346\n1\t5.000\n2\t0.000\n");
}

TEST(MakeTask, ListsTheNames) {
  EXPECT_EQ(task_names(), (std::vector<std::string>{"pretraining",
                                                    "masked-lm",
                                                    "cola",
                                                    "sst2",
                                                    "mrpc",
                                                    "qqp",
                                                    "stsb",
                                                    "mnli",
                                                    "qnli",
                                                    "rte",
                                                    "wnli",
                                                    "snli",
                                                    "sick",
                                                    "sick-relatedness",
                                                    "swag",
                                                    "ner",
                                                    "squad",
                                                    "squad2",
                                                    "question-answering",
                                                    "classification",
                                                    "pair-classification",
                                                    "multiple-choice",
                                                    "regression"}));
  for (const std::string& name : task_names()) EXPECT_EQ(make_task(name).name, name);
  expect_contains(error_of(ErrorKind::kUsage, [] { make_task("colas"); }), {"'colas'", "pretraining, masked-lm, cola, sst2, mrpc"});
  EXPECT_EQ(make_task("snli").label_names, (std::vector<std::string>{"entailment", "neutral", "contradiction"}));
}

}  // namespace mpibert
