#pragma once

// OpenMP for work items that are the same for any number of threads. For .cpp files of the CPU backend only.

#include <omp.h>

#include <cstdint>
#include <exception>

namespace mpibert::cpu {

// While it lives, parallel regions that this thread starts (oneDNN's too) have one thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Calls work(item, thread) for items 0 .. count-1, each on any thread, 0 <= thread < omp_get_max_threads(). Regions inside have one thread.
// The first exception is thrown again when all threads have ended.
template <class Work>
void parallel_items(int64_t count, Work work) {
  if (count <= 1 || omp_get_max_threads() == 1) {
    const OneThread one_thread;
    for (int64_t item = 0; item < count; ++item) work(item, 0);
    return;
  }
  std::exception_ptr error;
#pragma omp parallel
  {
    const OneThread one_thread;
#pragma omp for schedule(dynamic, 1)
    for (int64_t item = 0; item < count; ++item) {
      try {
        work(item, omp_get_thread_num());
      } catch (...) {
#pragma omp critical(mpibert_parallel_items)
        if (!error) error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace mpibert::cpu
