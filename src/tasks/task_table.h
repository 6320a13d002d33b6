#pragma once

#include <vector>

#include "mpibert/tasks/task.h"

namespace mpibert {

// All tasks, one row each.
const std::vector<Task>& task_table();

}  // namespace mpibert
