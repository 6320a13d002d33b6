#include "mpibert/train/checkpoint_writer.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "train/checkpoint_store.h"

namespace mpibert {

struct CheckpointWriter::Work {
  Work(const std::filesystem::path& run, CheckpointWriterOptions chosen) : options(chosen), store(run) { store.recover(); }

  const CheckpointWriterOptions options;
  CheckpointStore store;  // used by one thread at a time: the writer's, or without it the caller's

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Snapshot> pending;   // to be written next
  std::optional<Snapshot> finished;  // to be filled again
  std::vector<CheckpointEvent> events;
  bool busy = false, ending = false;
  int64_t failures = 0;  // in a row
  std::string last_failure;
  std::thread thread;

  // Never throws: whatever went wrong is an event.
  CheckpointEvent write(const Snapshot& snapshot) {
    CheckpointEvent event{.step = snapshot.state.step, .name = checkpoint_name(snapshot.state.step)};
    const auto start = std::chrono::steady_clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    try {
      const CheckpointStore::Published published = store.publish(snapshot);
      event.saved = true;
      event.bytes = published.bytes;
      event.seconds = seconds();
      event.message = str_cat("checkpoint ", event.name, published.kept ? " was there already and is the same" : " saved", ": ",
                              event.bytes, " bytes in ", event.seconds, " s");
      store.housekeep(published.path, options.save_total_limit);
    } catch (const std::exception& error) {
      event.message = event.saved ? str_cat(event.message, "; but cleaning up failed: ", error.what())
                                  : str_cat("checkpoint ", event.name, " could not be saved: ", error.what(),
                                            "; training goes on, earlier checkpoints are untouched");
      event.seconds = seconds();
    }
    return event;
  }

  // With the mutex held.
  void note(CheckpointEvent event, Snapshot&& written) {
    failures = event.saved ? 0 : failures + 1;
    if (!event.saved) last_failure = event.message;
    events.push_back(std::move(event));
    finished = std::move(written);
  }

  void run_thread() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return pending || ending; });
      if (!pending) return;
      Snapshot snapshot = *std::move(pending);
      pending.reset();
      busy = true;
      lock.unlock();
      CheckpointEvent event = write(snapshot);
      lock.lock();
      note(std::move(event), std::move(snapshot));
      busy = false;
      changed.notify_all();
    }
  }

  // With the mutex held.
  void check_failures() const {
    MPIBERT_CHECK(failures == 0 || failures < options.max_failures, kIo, failures,
                  " checkpoints in a row could not be saved; the last: ", last_failure);
  }
};

CheckpointWriter::CheckpointWriter(const std::filesystem::path& run, CheckpointWriterOptions options)
    : work_(std::make_unique<Work>(run, options)) {
  MPIBERT_CHECK(options.save_total_limit >= 0 && options.max_failures >= 1, kInvalidArgument, "save_total_limit ", options.save_total_limit,
                " has to be 0 or more, max_failures ", options.max_failures, " at least 1");
  if (options.in_background) work_->thread = std::thread([work = work_.get()] { work->run_thread(); });
}

CheckpointWriter::~CheckpointWriter() {
  if (work_->thread.joinable()) {
    {
      const std::lock_guard lock(work_->mutex);
      work_->ending = true;
    }
    work_->changed.notify_all();
    work_->thread.join();  // what is pending is written first
  }
  for (const CheckpointEvent& event : work_->events) {
    if (!event.saved) log_error(event.message);
  }
}

void CheckpointWriter::save(Snapshot snapshot) {
  check_snapshot(snapshot);
  std::unique_lock lock(work_->mutex);
  work_->changed.wait(lock, [&] { return !work_->pending && !work_->busy; });
  work_->check_failures();
  if (work_->options.in_background) {
    work_->pending = std::move(snapshot);
    work_->changed.notify_all();
    return;
  }
  CheckpointEvent event = work_->write(snapshot);
  work_->note(std::move(event), std::move(snapshot));
}

std::vector<CheckpointEvent> CheckpointWriter::poll() {
  const std::lock_guard lock(work_->mutex);
  work_->check_failures();
  return std::exchange(work_->events, {});
}

void CheckpointWriter::wait() {
  std::unique_lock lock(work_->mutex);
  work_->changed.wait(lock, [&] { return !work_->pending && !work_->busy; });
  MPIBERT_CHECK(work_->failures == 0, kIo, work_->last_failure);
}

Snapshot CheckpointWriter::recycle() {
  const std::lock_guard lock(work_->mutex);
  if (!work_->finished) return {};
  Snapshot snapshot = *std::move(work_->finished);
  work_->finished.reset();
  return snapshot;
}

}  // namespace mpibert
