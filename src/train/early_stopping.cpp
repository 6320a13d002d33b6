#include "mpibert/train/early_stopping.h"

#include <cmath>

#include "mpibert/base/options.h"
#include "train/extra_number.h"

namespace mpibert {

namespace {

constexpr const char *kBest = "best_score", *kNoBetter = "evaluations_without_better";

}  // namespace

void EarlyStopping::judge(double score) {
  const bool first = !best_ && !std::isnan(score);
  no_better_ = first || score > best_.value_or(score) + options_.threshold ? 0 : no_better_ + 1;
  if (first || score > best_.value_or(score)) best_ = score;
}

void EarlyStopping::save(std::map<std::string, std::string>& extra) const {
  if (!best_) return;
  extra[kBest] = number_text(*best_);
  extra[kNoBetter] = std::to_string(no_better_);
}

void EarlyStopping::restore(const std::map<std::string, std::string>& extra) {
  if (const auto best = extra_number<double>(extra, kBest)) best_ = best;  // none in a checkpoint before the first evaluation
  no_better_ = extra_number<int64_t>(extra, kNoBetter).value_or(no_better_);
}

}  // namespace mpibert
