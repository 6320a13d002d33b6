#pragma once

#include <cstdint>
#include <functional>

namespace mpibert {

// f(i) for i in 0 .. n-1 on all threads. Of several errors the one of the lowest i is thrown.
void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& f);

}  // namespace mpibert
