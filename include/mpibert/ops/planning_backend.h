#pragma once

#include <functional>
#include <memory>

#include "mpibert/ops/backend.h"

namespace mpibert {

// A backend that counts the bytes asked for and takes none: it stands for a device of this type, which need not be there. Views of its
// memory have shapes and no numbers; transfers to it do nothing; operations and downloads throw std::logic_error. With `on_product`
// operations do nothing, and it is told of every product: what a model multiplies is found by running it here. Only the shapes and types of
// its operands mean something, and how their addresses are aligned.
std::unique_ptr<Backend> make_planning_backend(DeviceType type, std::function<void(const Matmul&)> on_product = {});

}  // namespace mpibert
