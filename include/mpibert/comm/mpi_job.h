#pragma once

namespace mpibert {

// MPI, started for as long as this object lives; one a process. A process that was not started by mpirun or srun becomes a job of one rank.
// Only the thread that made it may call collectives (MPI_THREAD_FUNNELED).
class MpiJob {
 public:
  MpiJob();  // throws kCommunication if MPI does not start, or if a launcher started several processes that MPI sees as single jobs
  ~MpiJob();
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Ends all ranks with this exit code. Does not return.
  [[noreturn]] static void abort(int code);

 private:
  int rank_ = 0, size_ = 1;
};

}  // namespace mpibert
