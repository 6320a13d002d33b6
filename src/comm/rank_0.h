#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "mpibert/comm/communicator.h"

namespace mpibert {

// Collective. Calls `make` on rank 0 and gives every rank what it returns, or throws its Error on every rank, so that nobody waits for a
// rank that gave up.
std::string from_rank_0(Communicator& comm, std::string_view what, const std::function<std::string()>& make);
// The same of work that has no result.
void on_rank_0(Communicator& comm, std::string_view what, const std::function<void()>& body);

}  // namespace mpibert
