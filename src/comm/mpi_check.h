#pragma once

#include <mpi.h>

#include "mpibert/base/error.h"

namespace mpibert {

// Throws kCommunication with the library's text of the error, the call and the rank.
[[noreturn]] void throw_mpi_error(int code, const char* call);

#define MPIBERT_MPI_CHECK(call)                                                                            \
  do {                                                                                                     \
    if (const int mpi_code = (call); mpi_code != MPI_SUCCESS) ::mpibert::throw_mpi_error(mpi_code, #call); \
  } while (false)

}  // namespace mpibert
