#pragma once

// The double of NCCL, as tests see it: faults on request. Code under test sees include/nccl.h.

#include <string>

namespace emulation {

enum class NcclFaultKind { kNone, kFails, kFailsLater, kNeverEnds };

// On one rank, what the call of this number (from 1) of one function does: it returns an error; it succeeds and the communicator fails
// later; or what it started never ends. A line "emulated NCCL: ..." on stderr says when it happens.
struct NcclFault {
  std::string function{};  // "ncclSend"
  int call = 1;
  NcclFaultKind kind = NcclFaultKind::kNone;
};
// On this rank, from now on. Without it: what the environment variable EMULATED_NCCL_FAULT says, "RANK FUNCTION CALL fails|later|never".
void set_nccl_fault(const NcclFault& fault);

int live_nccl_communicators();  // made and neither destroyed nor aborted

}  // namespace emulation
