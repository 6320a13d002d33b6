#include "mpibert/comm/mpi_job.h"

#include <mpi.h>

#include <cstdlib>
#include <string>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

// A launcher whose process manager MPI does not understand starts N jobs of one rank: N trainings that overwrite each other.
void refuse_lonely_ranks(int size) {
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  const char* step = std::getenv("SLURM_STEP_ID");
  if (size == 1 && tasks && step && std::atoi(tasks) > 1 && !std::getenv("OMPI_COMM_WORLD_SIZE"))
    throw Error(ErrorKind::kCommunication,
                str_cat("srun started ", tasks,
                        " processes, but MPI sees each as a job of one rank; start them with srun --mpi=pmix, or with mpirun"));
}

}  // namespace

MpiJob::MpiJob() {
  int provided = 0;
  MPIBERT_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) == MPI_SUCCESS, kCommunication, "MPI_Init_thread failed");
  MPIBERT_CHECK(provided >= MPI_THREAD_FUNNELED, kCommunication, "this MPI library gives no MPI_THREAD_FUNNELED");
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  refuse_lonely_ranks(size_);
}

MpiJob::~MpiJob() { MPI_Finalize(); }

void MpiJob::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace mpibert
