#pragma once

// What the double of cuBLASLt computes with. It offers four algorithms, the last one first:
//   0  adds the terms of a sum from first to last
//   1  from last to first
//   2  two halves, each from first to last, kept in the workspace as fp32; for sums of an even number of terms and operands of 16 bytes
//      only
//   3  in another order every time (split in place): never to be chosen by a program that promises its bits
// They take as long as they are said to take, on a clock of their own (streams.h).

#include <array>

namespace emulation {

// Milliseconds of a product by each of them, whatever its size. EMULATED_CUBLASLT_MS="1 0.75 0.5 0.25" sets them at the start.
std::array<double, 4>& matmul_milliseconds();
// What activations and sums of rows take in addition where they are fused; 0.
double& fused_milliseconds();

}  // namespace emulation
