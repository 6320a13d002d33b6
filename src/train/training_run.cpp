#include "mpibert/train/training_run.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "comm/rank_0.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/base/options.h"
#include "mpibert/train/checkpoint_writer.h"
#include "mpibert/train/run_lock.h"
#include "mpibert/train/run_log.h"
#include "mpibert/train/stop_request.h"
#include "train/progress.h"

namespace mpibert {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string job_number() {
  const char* job = std::getenv("SLURM_JOB_ID");
  return job ? job : "";
}

}  // namespace

class RunDirectory {
 public:
  explicit RunDirectory(const TrainingRunOptions& options)
      : lock_(options.output_dir, job_number()),
        log(options.output_dir / "metrics.jsonl"),
        writer(options.output_dir, {.save_total_limit = options.save_total_limit}) {
    std::error_code ignored;
    std::filesystem::remove(options.output_dir / "EXIT.json", ignored);  // absent means: died unhandled
  }

 private:
  RunLock lock_;

 public:
  RunLog log;
  CheckpointWriter writer;
  Progress progress;
};

// Sums since the last report.
struct TrainingRun::Interval {
  Clock::time_point start = Clock::now();
  int64_t steps = 0, tokens = 0, samples = 0;
  double flops = 0, data_seconds = 0, comm_seconds = 0, optimizer_seconds = 0;

  void add(const StepOutcome& outcome, double data) {
    ++steps;
    tokens += outcome.tokens;
    samples += outcome.samples;
    flops += outcome.flops;
    data_seconds += data;
    comm_seconds += outcome.comm_seconds;
    optimizer_seconds += outcome.optimizer_seconds;
  }
};

// What was last known, and when.
struct TrainingRun::Last {
  EarlyStopping early_stopping;
  double loss = 0;
  Scores scores{};
  int64_t evaluated_step = -1, saved_step = -1, skipped_in_a_row = 0;
  std::string checkpoint{};
};

std::optional<std::filesystem::path> find_resume_checkpoint(Communicator& comm, const std::filesystem::path& run) {
  const std::string path = from_rank_0(comm, "checkpoint to resume from", [&]() -> std::string {
    const auto newest = std::filesystem::exists(run / "checkpoints") ? newest_checkpoint(run) : std::nullopt;
    return newest ? newest->string() : "";
  });
  return path.empty() ? std::nullopt : std::optional<std::filesystem::path>(path);
}

TrainingRun::TrainingRun(Communicator& comm, TrainingRunOptions options) : comm_(comm), options_(std::move(options)) {
  on_rank_0(comm_, "opening the run directory", [&] { directory_ = std::make_unique<RunDirectory>(options_); });
}

TrainingRun::~TrainingRun() = default;

double TrainingRun::epoch(const Trainer& trainer) const {
  return static_cast<double>(trainer.samples()) / static_cast<double>(std::max<int64_t>(1, options_.samples_per_epoch));
}

bool TrainingRun::evaluation_due(const Trainer& trainer, int64_t samples_before) const {
  if (trainer.steps() == options_.total_steps) return true;
  if (options_.evaluate_steps > 0) return trainer.steps() % options_.evaluate_steps == 0;
  return options_.samples_per_epoch > 0 && trainer.samples() / options_.samples_per_epoch != samples_before / options_.samples_per_epoch;
}

RunResult TrainingRun::run(Trainer& trainer, BatchLoader& loader, const RunIdentity& identity, const Evaluate& evaluate_model,
                           const ResumePoint& from) {
  const StopRequest stop;
  Interval interval;
  Last last{.early_stopping = EarlyStopping(options_.early_stopping)};
  last.early_stopping.restore(from.extra);
  if (!from.checkpoint.empty()) last.saved_step = trainer.steps();
  last.checkpoint = from.checkpoint;
  if (directory_)
    directory_->log.event("start", {{"step", std::to_string(trainer.steps())},
                                    {"resumed_from", json_string(from.checkpoint)},
                                    {"world_size", std::to_string(comm_.size())}});
  int stop_signal = 0;
  while (trainer.steps() < options_.total_steps && !last.early_stopping.stops()) {
    const Clock::time_point loading = Clock::now();
    const std::vector<Slot> slots = loader.next();
    const double data_seconds = seconds_since(loading);
    const int64_t samples_before = trainer.samples();
    const StepOutcome outcome = trainer.step(slots, stop.signal());
    if ((stop_signal = outcome.stop_signal) != 0) break;

    interval.add(outcome, data_seconds);
    const bool reports = trainer.steps() % options_.report_steps == 0 || trainer.steps() == options_.total_steps;
    for (const StepVerdict& verdict : trainer.verdicts(reports)) {
      judge(verdict, last);
      if (reports && verdict.step == trainer.steps()) report(trainer, outcome, verdict, interval, last);
    }
    if (!reports && directory_) directory_->progress.draw(trainer.steps(), options_.total_steps);
    const bool evaluated = evaluate_model && evaluation_due(trainer, samples_before);
    if (evaluated) evaluate(trainer, evaluate_model, last);
    if ((evaluated && options_.save_best) || (options_.save_steps > 0 && trainer.steps() % options_.save_steps == 0))
      save(trainer, identity, last);
    poll_writer();
  }
  if (last.saved_step != trainer.steps()) save(trainer, identity, last);
  on_rank_0(comm_, "the last checkpoint", [&] { directory_->writer.wait(); });
  poll_writer();

  RunResult result{.code = stop_signal ? 75 : 0,
                   .reason = stop_signal                   ? str_cat("signal ", signal_name(stop_signal))
                             : last.early_stopping.stops() ? str_cat("stopped early: no better ", options_.metric, " in ",
                                                                     last.early_stopping.evaluations_without_better(), " evaluations")
                                                           : "finished",
                   .step = trainer.steps(),
                   .loss = last.loss,
                   .scores = last.scores,
                   .checkpoint = options_.output_dir / "checkpoints" / checkpoint_name(trainer.steps())};
  if (directory_) {
    directory_->log.event(
        "stop", {{"step", std::to_string(result.step)}, {"code", std::to_string(result.code)}, {"reason", json_string(result.reason)}});
    write_exit_file(options_.output_dir, result.code, result.reason, result.step, checkpoint_name(result.step), 0);
  }
  return result;
}

// A scale that falls is looking for one that fits; the training diverges where none is left to try.
void TrainingRun::judge(const StepVerdict& v, Last& last) {
  const bool falls = v.next_loss_scale < v.loss_scale;
  last.skipped_in_a_row = v.applied || falls ? 0 : last.skipped_in_a_row + 1;
  if (!v.applied)
    log_info("step ", v.step, ": a gradient is not finite; the step is skipped on every rank",
             falls ? str_cat(", the loss scale falls to ", v.next_loss_scale) : "");
  MPIBERT_CHECK(last.skipped_in_a_row<options_.max_skipped, kDiverged, "gradients were not finite for ", last.skipped_in_a_row,
                                      " steps in a row, up to step ", v.step, "; lower --learning-rate", v.loss_scale> 1
                    ? " or --loss-scale"
                    : "",
                " and resume from an earlier checkpoint. Nothing was saved since step ", last.saved_step);
}

void TrainingRun::report(Trainer& trainer, const StepOutcome& outcome, const StepVerdict& verdict, Interval& interval, Last& last) {
  StepReport r{.step = trainer.steps(), .total_steps = options_.total_steps, .epoch = epoch(trainer)};
  for (const TermResult& term : trainer.losses()) {
    if (term.labels == 0) continue;
    r.loss += term.weight * term.loss;
    r.losses.emplace_back(term.name + "_loss", term.loss);
    r.losses.emplace_back(term.name + "_accuracy", term.accuracy);
  }
  last.loss = r.loss;
  if (directory_) {
    const double seconds = seconds_since(interval.start), steps = static_cast<double>(std::max<int64_t>(1, interval.steps));
    r.gradient_norm = verdict.gradient_norm;
    r.learning_rate = outcome.learning_rate;
    r.samples = trainer.samples();
    r.skipped = verdict.skipped;
    r.loss_scale = verdict.next_loss_scale;
    r.step_ms = seconds / steps * 1e3;
    r.data_ms = interval.data_seconds / steps * 1e3;
    r.comm_ms = interval.comm_seconds / steps * 1e3;
    r.optimizer_ms = interval.optimizer_seconds / steps * 1e3;
    r.tokens_per_second = static_cast<double>(interval.tokens) / seconds;
    r.samples_per_second = static_cast<double>(interval.samples) / seconds;
    r.flops_per_second = interval.flops / seconds;
    r.peak_flops_per_second = options_.peak_flops;
    r.eta_seconds = r.step_ms * 1e-3 * static_cast<double>(options_.total_steps - trainer.steps());
    directory_->progress.clear();
    log_info(line_for_people(r));
    directory_->log.step(r);
  }
  interval = Interval{};
}

void TrainingRun::evaluate(Trainer& trainer, const Evaluate& evaluate_model, Last& last) {
  last.scores = evaluate_model();
  last.evaluated_step = trainer.steps();
  last.early_stopping.judge(score_of(last.scores));
  if (!directory_) return;
  std::string text;
  std::vector<std::pair<std::string, std::string>> fields = {{"step", std::to_string(trainer.steps())},
                                                             {"epoch", json_number(epoch(trainer))}};
  for (const auto& [name, value] : last.scores) {
    text += str_cat(text.empty() ? "" : ", ", name, " ", number_text(std::round(value * 1e4) / 1e4));
    fields.emplace_back(name, json_number(value));
  }
  directory_->progress.clear();
  log_info("evaluation after step ", trainer.steps(), ": ", text);
  directory_->log.event("evaluation", fields);
}

// Of an evaluation, larger is better.
double TrainingRun::score_of(const Scores& scores) const {
  std::string names;
  for (const auto& [name, value] : scores) {
    if (name == options_.metric) return name.ends_with("loss") ? -value : value;
    names += (names.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorKind::kInvalidArgument,
              str_cat("the best model is to be found by '", options_.metric, "', and an evaluation gives ", names));
}

void TrainingRun::save(Trainer& trainer, const RunIdentity& identity, Last& last) {
  Snapshot snapshot;
  if (directory_) snapshot = directory_->writer.recycle();
  trainer.save(snapshot);
  last.saved_step = trainer.steps();
  last.checkpoint = checkpoint_name(trainer.steps());
  if (!directory_) return;
  snapshot.state.epoch = epoch(trainer);
  snapshot.state.dataset_fingerprint = identity.dataset_fingerprint;
  snapshot.state.options = identity.options;
  last.early_stopping.save(snapshot.state.extra);
  snapshot.files = identity.files;
  if (last.evaluated_step == trainer.steps()) {
    for (const auto& [name, value] : last.scores) snapshot.state.metrics[name] = value;
    if (const double score = score_of(last.scores); std::isfinite(score))
      snapshot.score = score;  // a correlation of constant predictions is NaN
  }
  directory_->writer.save(std::move(snapshot));
}

void TrainingRun::poll_writer() {
  if (!directory_) return;
  for (const CheckpointEvent& event : directory_->writer.poll()) {
    directory_->progress.clear();
    log_message(event.saved ? LogLevel::kInfo : LogLevel::kWarning, event.message);
    directory_->log.event(event.saved ? "checkpoint" : "checkpoint_failed", {{"step", std::to_string(event.step)},
                                                                             {"name", json_string(event.name)},
                                                                             {"bytes", std::to_string(event.bytes)},
                                                                             {"write_s", json_number(event.seconds)},
                                                                             {"message", json_string(event.message)}});
  }
}

void write_exit_file(const std::filesystem::path& run, int code, const std::string& reason, int64_t step, const std::string& checkpoint,
                     int rank) noexcept {
  try {
    if (!std::filesystem::is_directory(run)) return;
    const bool requeue = code == 75 || code == 76;
    write_file_atomically(run / "EXIT.json", str_cat("{\"code\":", code, ",\"reason\":", json_string(reason), ",\"step\":", step,
                                                     ",\"checkpoint\":", json_string(checkpoint),
                                                     ",\"requeue\":", requeue ? "true" : "false", ",\"first_rank\":", rank, "}\n"));
  } catch (const std::exception& error) {
    log_warning("cannot write EXIT.json: ", error.what());
  }
}

}  // namespace mpibert
