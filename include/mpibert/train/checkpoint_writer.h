#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mpibert/train/checkpoint.h"

namespace mpibert {

struct CheckpointWriterOptions {
  int64_t save_total_limit = 0;  // newest checkpoints to keep, beside the best one; 0: all. The one just written is never deleted
  int64_t max_failures = 3;      // failed saves in a row before the run ends
  bool in_background = true;     // false: save() returns when the checkpoint is on disk
};

struct CheckpointEvent {
  bool saved = false;  // false: it failed; what was there before is untouched
  int64_t step = 0, bytes = 0;
  double seconds = 0;             // of writing
  std::string name{}, message{};  // a line for the log
};

// Writes checkpoints of one run (see checkpoint.h) in a thread of its own. To be used by one rank, under the RunLock, by one thread.
//
//   CheckpointWriter writer(run, {.save_total_limit = 3});
//   Snapshot snapshot = writer.recycle();        // buffers of an earlier save, to fill again; empty at first
//   ... fill it ...
//   writer.save(std::move(snapshot));            // returns at once, unless the last one is still being written
//   for (const CheckpointEvent& event : writer.poll()) log_info(event.message);
//   writer.wait();                               // at the end: everything is on disk, or an error
class CheckpointWriter {
 public:
  // Makes RUN/checkpoints and removes what a dead run left unfinished. Throws kBusy if it cannot be made.
  explicit CheckpointWriter(const std::filesystem::path& run, CheckpointWriterOptions options = {});
  ~CheckpointWriter();  // waits; errors are only logged then
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // A disk that is full and other failures of the system do not stop training: the unfinished directory is removed and an event says so.
  // After max_failures of them in a row the next call of save(), poll() or wait() throws kIo with the last message.
  // Throws kInvalidArgument at once for a snapshot that does not fit together.
  void save(Snapshot snapshot);
  std::vector<CheckpointEvent> poll();  // what happened since the last poll; never waits
  void wait();                          // until nothing is being written; throws kIo if the last save failed
  Snapshot recycle();

 private:
  struct Work;
  std::unique_ptr<Work> work_;  // the thread refers to it
};

}  // namespace mpibert
