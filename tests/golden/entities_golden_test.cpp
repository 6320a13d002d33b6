// Scores of entities equal to seqeval's in random tags of several schemes. The cases are those of generate/entities.py.

#include <gtest/gtest.h>

#include "mpibert/tasks/entities.h"
#include "tests/support/fixture.h"

namespace mpibert::test {

namespace {

constexpr int64_t kSentences = 1000;
constexpr double kTolerance = 1e-12;

const std::vector<std::pair<std::string, std::vector<std::string>>> kCases = {
    {"iob2", {"B-LOC", "B-PER", "I-LOC", "I-PER", "O"}},
    {"iobes", {"B-LOC", "E-LOC", "I-LOC", "O", "S-LOC", "B-PER", "E-PER", "I-PER", "S-PER"}},
    {"odd", {"B", "I", "I-a-b", "B-a-b", "O", "I-", "B-c", "I-c"}},
    {"nothing", {"O"}},
};

EntityScores score(const std::string& name, const std::vector<std::string>& labels, int right) {
  EntityScores scores(labels);
  std::vector<size_t> lengths;
  size_t words = 0;
  for (const int n : hashed_numbers(name + ".lengths", kSentences)) words += lengths.emplace_back((n + 127) % 12 + 1);
  const auto numbers = [&](const char* what) { return hashed_numbers(name + "." + what, static_cast<int64_t>(words)); };
  const std::vector<int> real = numbers("real"), others = numbers("others"), hits = numbers("hits");
  const auto classes = static_cast<int>(labels.size());
  size_t at = 0;
  for (const size_t length : lengths) {
    std::vector<int32_t> predicted, expected;
    for (size_t end = at + length; at < end; ++at) {
      expected.push_back((real[at] + 127) % classes);
      predicted.push_back((hits[at] + 127) % 10 < right ? expected.back() : (others[at] + 127) % classes);
    }
    scores.add(predicted, expected);
  }
  return scores;
}

}  // namespace

TEST(EntitiesGolden, AsSeqeval) {
  const Fixture fixture("entities");
  for (const auto& [name, labels] : kCases)
    for (const int right : {0, 8})
      for (const auto& [metric, value] : score(name, labels, right).scores({"precision", "recall", "f1", "accuracy"}))
        EXPECT_NEAR(value, std::stod(fixture.attribute(name + std::to_string(right) + "." + metric)), kTolerance)
            << name << right << " " << metric;
}

// The example of seqeval's own documentation.
TEST(EntitiesGolden, APublishedExample) {
  EntityScores scores({"O", "B-MISC", "I-MISC", "B-PER", "I-PER"});
  scores.add(std::vector<int32_t>{0, 0, 1, 2, 2, 2, 0}, std::vector<int32_t>{0, 0, 0, 1, 2, 2, 0});
  scores.add(std::vector<int32_t>{3, 4, 0}, std::vector<int32_t>{3, 4, 0});
  EXPECT_EQ(scores.scores({"f1"})[0].second, 0.5);
  EXPECT_EQ(scores.scores({"accuracy"})[0].second, 0.8);
}

}  // namespace mpibert::test
