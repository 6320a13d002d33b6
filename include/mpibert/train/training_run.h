#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "mpibert/data/batch_loader.h"
#include "mpibert/tasks/task.h"
#include "mpibert/train/early_stopping.h"
#include "mpibert/train/trainer.h"

namespace mpibert {

struct TrainingRunOptions {
  std::filesystem::path output_dir;
  int64_t total_steps = 0;
  int64_t report_steps = 1;               // a line every so many steps
  int64_t save_steps = 0;                 // 0: only at the end, and when stopped
  int64_t evaluate_steps = 0;             // 0: at the end of every epoch, if there is something to evaluate
  int64_t save_total_limit = 0;           // newest checkpoints to keep beside the best; 0: all
  bool save_best = false;                 // also save after every evaluation, and mark the best
  std::string metric;                     // of the evaluation, larger is better ("accuracy"); of one that ends in "loss" smaller is
  EarlyStoppingOptions early_stopping{};  // by that metric
  int64_t max_skipped = 20;               // non-finite steps in a row that end the run; not those after which the loss scale falls
  double peak_flops = 0;                  // of all ranks together; 0: unknown
  int64_t samples_per_epoch = 0;
};

// What a run leaves in its checkpoints beside the tensors.
struct RunIdentity {
  std::map<std::string, std::string> files;    // config.json, vocab.txt, ...: the model folder
  std::map<std::string, std::string> options;  // as resolved
  std::string dataset_fingerprint;
};

// How a run ended. EXIT.json of the run directory says the same.
struct RunResult {
  int code = 0;        // 0 finished, 75 stopped on request: run me again
  std::string reason;  // "finished", "stopped early: ...", "signal SIGUSR1"
  int64_t step = 0;
  double loss = 0;  // last reported
  Scores scores;    // of the last evaluation
  std::filesystem::path checkpoint;
};

// The files of a run that only rank 0 writes: the lock, metrics.jsonl, checkpoints. On other ranks there is none.
class RunDirectory;

// Collective. The checkpoint to go on from: the newest good one of the run directory. Nothing where there is none.
std::optional<std::filesystem::path> find_resume_checkpoint(Communicator& comm, const std::filesystem::path& run);

// Where a run goes on.
struct ResumePoint {
  std::string checkpoint;                    // its name; empty: the run begins
  std::map<std::string, std::string> extra;  // TrainingState::extra
};

class TrainingRun {
 public:
  using Evaluate = std::function<Scores()>;  // collective; empty: nothing to evaluate

  // Collective. Takes the run directory. Throws kBusy if another job has it, on all ranks.
  TrainingRun(Communicator& comm, TrainingRunOptions options);
  ~TrainingRun();

  // Collective. Trains to total_steps, or until evaluations stop getting better: reports, evaluates and saves on their periods; a signal on
  // any rank stops all at one step, with a save. Throws kDiverged after max_skipped non-finite steps in a row, kIo if checkpoints cannot be
  // written.
  RunResult run(Trainer& trainer, BatchLoader& loader, const RunIdentity& identity, const Evaluate& evaluate, const ResumePoint& from = {});

 private:
  struct Interval;
  struct Last;
  void judge(const StepVerdict& verdict, Last& last);
  void report(Trainer& trainer, const StepOutcome& outcome, const StepVerdict& verdict, Interval& interval, Last& last);
  void evaluate(Trainer& trainer, const Evaluate& evaluate, Last& last);
  void save(Trainer& trainer, const RunIdentity& identity, Last& last);
  void poll_writer();
  double score_of(const Scores& scores) const;
  bool evaluation_due(const Trainer& trainer, int64_t samples_before) const;
  double epoch(const Trainer& trainer) const;

  Communicator& comm_;
  TrainingRunOptions options_;
  std::unique_ptr<RunDirectory> directory_;
};

// Writes RUN/EXIT.json. Never throws: it is called on the way out.
void write_exit_file(const std::filesystem::path& run, int code, const std::string& reason, int64_t step, const std::string& checkpoint,
                     int rank) noexcept;

}  // namespace mpibert
