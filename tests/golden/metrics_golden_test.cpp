// Scores equal to scikit-learn's and scipy's on 1,000 random predictions. The cases are those of generate/metrics.py.

#include <gtest/gtest.h>

#include <cmath>

#include "mpibert/tasks/metrics.h"
#include "tests/support/fixture.h"

namespace mpibert::test {

namespace {

constexpr int64_t kCount = 1000;

// Sums of 1,000 terms in another order: about sqrt(1000) units in the last place of 1.
constexpr double kTolerance = 1e-12;

class MetricsGolden : public testing::Test {
 protected:
  void expect(const std::string& name, double value) const {
    const double expected = std::stod(fixture_.attribute(name));
    if (std::isnan(expected)) EXPECT_TRUE(std::isnan(value)) << name << ": " << value;
    else EXPECT_NEAR(value, expected, kTolerance) << name;
  }
  void expect_classes(const std::string& name, const std::vector<int32_t>& predicted, const std::vector<int32_t>& labels) const {
    expect(name + ".accuracy", accuracy(predicted, labels));
    expect(name + ".matthews_correlation", matthews_correlation(predicted, labels));
    if (name != "classes3" && name != "classes20") expect(name + ".f1", f1(predicted, labels));
  }
  void expect_numbers(const std::string& name, const std::vector<double>& predicted, const std::vector<double>& labels) const {
    expect(name + ".pearson", pearson(predicted, labels));
    expect(name + ".spearmanr", spearman(predicted, labels));
  }

 private:
  Fixture fixture_{"metrics"};
};

struct Classes {
  std::vector<int32_t> predicted, labels;
};
Classes classes(int32_t number) {
  const std::string name = "classes" + std::to_string(number);
  const std::vector<int> labels = hashed_numbers(name + ".labels", kCount), others = hashed_numbers(name + ".others", kCount),
                         right = hashed_numbers(name + ".right", kCount);
  Classes made;
  for (size_t i = 0; i < labels.size(); ++i) {
    made.labels.push_back((labels[i] + 127) % number);
    made.predicted.push_back(((right[i] + 127) % 10 < 7 ? labels[i] + 127 : others[i] + 127) % number);
  }
  return made;
}

struct Numbers {
  std::vector<double> predicted, labels;
};
Numbers numbers(const std::string& name, bool fine) {
  const std::vector<int> labels = hashed_numbers(name + ".labels", kCount), noise = hashed_numbers(name + ".noise", kCount),
                         tail = hashed_numbers(name + ".tail", kCount);
  Numbers made;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double more = fine ? tail[i] / 64.0 / 256 + static_cast<double>(i) / (1 << 20) : 0;
    made.predicted.push_back(labels[i] / 64.0 + noise[i] / 64.0 + more);
    made.labels.push_back(labels[i] / 64.0 - more);
  }
  return made;
}

}  // namespace

TEST_F(MetricsGolden, ClassesAsScikitLearn) {
  for (const int32_t number : {2, 3, 20}) {
    const Classes made = classes(number);
    expect_classes("classes" + std::to_string(number), made.predicted, made.labels);
  }
}

TEST_F(MetricsGolden, OneClassAsScikitLearn) {
  const std::vector<int32_t> labels = classes(2).labels, zeros(labels.size(), 0);
  std::vector<int32_t> wrong;
  for (const int32_t label : labels) wrong.push_back(1 - label);
  expect_classes("constant", zeros, labels);
  expect_classes("one_class", zeros, zeros);
  expect_classes("wrong", wrong, labels);
}

TEST_F(MetricsGolden, CorrelationsAsScipy) {
  const Numbers ties = numbers("ties", false), fine = numbers("fine", true);
  expect_numbers("ties", ties.predicted, ties.labels);
  expect_numbers("fine", fine.predicted, fine.labels);
  expect_numbers("constant_numbers", std::vector<double>(kCount, 2.5), fine.labels);
  std::vector<double> large = fine.predicted;
  for (double& value : large) value += 1e6;
  expect_numbers("large", large, fine.labels);
}

}  // namespace mpibert::test
