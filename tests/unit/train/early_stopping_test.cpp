#include "mpibert/train/early_stopping.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/support/errors.h"

namespace mpibert {
namespace {

// After how many of these evaluations it stops; 0: not at all.
int64_t stops_after(const EarlyStoppingOptions& options, const std::vector<double>& scores) {
  EarlyStopping stopping(options);
  int64_t count = 0;
  for (const double score : scores) {
    stopping.judge(score);
    ++count;
    if (stopping.stops()) return count;
  }
  return 0;
}

TEST(EarlyStoppingTest, StopsAfterSoManyEvaluationsInARowThatAreNoBetter) {
  EXPECT_EQ(stops_after({.patience = 2}, {1, 2, 2, 3, 2, 2.5, 9}), 6);
  EXPECT_EQ(stops_after({.patience = 1}, {-0.7, -0.6, -0.65, 0}), 3) << "the negative of a loss";
  EXPECT_EQ(stops_after({.patience = 3}, {1, 2, 2, 2, 3}), 0);
  EXPECT_EQ(stops_after({}, {5, 4, 3, 2, 1}), 0) << "no patience was named";
}

TEST(EarlyStoppingTest, LittleStepsAreNoBetterButRaiseTheBar) {
  EXPECT_EQ(stops_after({.patience = 2, .threshold = 0.5}, {1, 1.4, 1.8, 9}), 3);
  EXPECT_EQ(stops_after({.patience = 2, .threshold = 0.5}, {1, 1.4, 2, 2.4, 2.6}), 5);
}

TEST(EarlyStoppingTest, AScoreThatIsNoNumberIsNeverBetter) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(stops_after({.patience = 2}, {nan, 1, nan, 2, nan, nan}), 6);
  EXPECT_EQ(stops_after({.patience = 2}, {nan, nan}), 2);
}

TEST(EarlyStoppingTest, AResumedRunStopsWhereTheWholeOneDoes) {
  const EarlyStoppingOptions options{.patience = 3};
  const std::vector<double> scores = {0.1, 0.3, 0.1 + 0.2, 0.2, 0.1, 5};  // 0.1 + 0.2 is above 0.3 by one bit
  std::map<std::string, std::string> extra;
  int64_t count = 0;
  for (const double score : scores) {
    EarlyStopping stopping(options);
    stopping.restore(extra);
    if (stopping.stops()) break;
    stopping.judge(score);
    stopping.save(extra);
    ++count;
  }
  EXPECT_EQ(count, stops_after(options, scores) == 0 ? 6 : stops_after(options, scores));
  EXPECT_EQ(extra.at("evaluations_without_better"), "0") << "5 came before the patience was out";
}

TEST(EarlyStoppingTest, RefusesAStateThatHoldsNoNumbers) {
  test::expect_error(ErrorKind::kCorrupt, {"extra.best_score", "'much'"}, [] {
    EarlyStopping({.patience = 1}).restore({{"best_score", "much"}});
  });
}

}  // namespace
}  // namespace mpibert
