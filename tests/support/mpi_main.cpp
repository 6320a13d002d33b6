#include <gtest/gtest.h>
#include <mpi.h>

// The MPI library leaves memory of its own behind, from plugins whose names are gone by then: leaks of our code are found by the tests
// without MPI. Called by the address sanitizer, where there is one.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

// Runs all tests on every rank; ranks other than 0 print only failures; the exit code is the largest of all ranks.
int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  testing::InitGoogleTest(&argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != 0) GTEST_FLAG_SET(brief, true);
  const int mine = RUN_ALL_TESTS();
  int worst = 0;
  MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return worst;
}
