#pragma once

#include <filesystem>
#include <string>

namespace mpibert {

// One job a run directory. RUN/LOCK is held by flock as long as this object lives; its text says who holds it:
//   {"host": "n1", "pid": 4242, "job": "17", "started": "2026-01-01T00:00:00Z"}
// The kernel lets go when the process dies, so a lock of a dead run is taken over (one line in the log). The file stays, empty, afterwards.
class RunLock {
 public:
  // Makes the run directory if need be. `job`: the scheduler's number, if any.
  // Throws kBusy naming host, pid, job and time of the holder, or if the directory cannot be made; kIo if the file system has no locks.
  explicit RunLock(const std::filesystem::path& run, const std::string& job = "");
  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;

 private:
  int descriptor_ = -1;
};

}  // namespace mpibert
