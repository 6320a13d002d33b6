#pragma once

#include <functional>

#include "mpibert/tasks/prepare.h"

namespace mpibert {

// Runs f on every rank. An error on one is thrown on all, so that none waits for ever.
void together(Exchange& exchange, const std::function<void()>& f);

}  // namespace mpibert
