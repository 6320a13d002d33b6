#pragma once

#include <memory>

#include "mpibert/ops/backend.h"

namespace mpibert {

// What make_backend chooses from, one function a kind of device. A build without CUDA has the second one in no_cuda.cpp: it throws kDevice.
std::unique_ptr<Backend> make_cpu_backend();
std::unique_ptr<Backend> make_cuda_backend(int index, const BackendOptions& options);
int cuda_device_count();

// What Backend::attention_saved_bytes says on each, without a device of the kind.
size_t cpu_attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length);
// Of cards the logarithms of the sums of attention's rows, to base 2 on tensor cores: [A, T] fp32.
inline size_t cuda_attention_saved_bytes(int64_t tokens, int64_t heads) { return static_cast<size_t>(tokens * heads) * sizeof(float); }

}  // namespace mpibert
