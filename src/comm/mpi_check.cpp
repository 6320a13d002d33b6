#include "comm/mpi_check.h"

#include <array>
#include <string>

namespace mpibert {

void throw_mpi_error(int code, const char* call) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0, rank = -1;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  throw Error(ErrorKind::kCommunication, str_cat("MPI failed on rank ", rank, ": ", std::string(text.data(), static_cast<size_t>(length)),
                                                 " (code ", code, ") from ", call));
}

}  // namespace mpibert
