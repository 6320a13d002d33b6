#include "base/parallel.h"

#include <exception>

namespace mpibert {

void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& f) {
  std::exception_ptr error;
  int64_t first_error = n;
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < n; ++i) {
    try {
      f(i);
    } catch (...) {
#pragma omp critical(mpibert_parallel_error)
      if (i < first_error) {
        first_error = i;
        error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace mpibert
