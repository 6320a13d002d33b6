#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "mpibert/base/dtype.h"
#include "mpibert/tensor/shape.h"

namespace mpibert {

// A tensor to be written, row major; its numbers are somebody else's.
struct NamedTensor {
  std::string name{};
  DType dtype = DType::kFloat32;
  Shape shape{};
  std::span<const std::byte> bytes{};
};

// Takes the bytes of a file from its first to its last.
using ByteSink = std::function<void(std::span<const std::byte>)>;

}  // namespace mpibert
