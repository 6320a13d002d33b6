#include "mpibert/train/early_stopping.h"

#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/base/options.h"
#include "mpibert/base/parse_number.h"

namespace mpibert {

namespace {

constexpr const char *kBest = "best_score", *kNoBetter = "evaluations_without_better";

// Leaves the number alone where there is none: a checkpoint before the first evaluation.
template <class Number>
bool read(const std::map<std::string, std::string>& extra, const char* name, Number& number) {
  const auto found = extra.find(name);
  if (found == extra.end()) return false;
  const std::optional<Number> value = parse_number<Number>(found->second);
  MPIBERT_CHECK(value, kCorrupt, "state.json: extra.", name, " is '", found->second, "', expected a number");
  number = *value;
  return true;
}

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
  double best = 0;
  if (read(extra, kBest, best)) best_ = best;
  read(extra, kNoBetter, no_better_);
}

}  // namespace mpibert
