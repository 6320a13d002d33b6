#pragma once

#include "mpibert/ops/backend.h"

namespace mpibert {

// The rules of Backend::zero, copy, upload and download, for the backends to call: these four are virtual themselves.
// Both throw kInvalidArgument.
void check_on_device(const char* operation, const Tensor& t, Device device);
void check_transfer(const char* operation, const Tensor& from, Device from_device, const Tensor& to, Device to_device);

}  // namespace mpibert
