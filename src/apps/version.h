#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/command.h"

namespace mpibert::apps {

// This program and the libraries it runs with, by name.
std::vector<std::pair<std::string, std::string>> versions();

}  // namespace mpibert::apps
