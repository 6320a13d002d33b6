#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace mpibert {

// Ends a training whose evaluations have stopped getting better: transformers' EarlyStoppingCallback. An evaluation is better if its score
// is larger than the best before it by more than `threshold`; a score that is larger by less is no better one, but is the best to beat from
// then on. NaN is never better.
struct EarlyStoppingOptions {
  int64_t patience = 0;  // evaluations in a row that are no better, after which it stops; 0: never
  double threshold = 0;
};

class EarlyStopping {
 public:
  explicit EarlyStopping(EarlyStoppingOptions options) : options_(options) {}

  void judge(double score);  // of an evaluation; larger is better
  bool stops() const { return options_.patience > 0 && no_better_ >= options_.patience; }
  int64_t evaluations_without_better() const { return no_better_; }

  // To and from TrainingState::extra, so that a resumed run stops where the uninterrupted one does. Throws kCorrupt on numbers that are
  // none.
  void save(std::map<std::string, std::string>& extra) const;
  void restore(const std::map<std::string, std::string>& extra);

 private:
  EarlyStoppingOptions options_;
  std::optional<double> best_;
  int64_t no_better_ = 0;
};

}  // namespace mpibert
