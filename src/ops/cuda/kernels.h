#pragma once

// The operations of the CUDA backend, one function each, one file each, queued on the stream. Arguments have been checked
// (src/ops/check.cpp). Ids, labels and indices are trusted: the loader has checked them, and the device cannot report without a wait.

#include "mpibert/ops/ops.h"
#include "ops/cuda/workspace.h"

namespace mpibert::cuda {

// What an operation needs beside its arguments.
struct Context {
  cudaStream_t stream;
  Workspace& workspace;
  int multiprocessors;
};

void activation_backward(const ActivationBackward& op, const Context& context);
void embedding_forward(const EmbeddingForward& op, const Context& context);
void embedding_backward(const EmbeddingBackward& op, const Context& context);
void layer_norm_forward(const LayerNormForward& op, const Context& context);
void layer_norm_backward(const LayerNormBackward& op, const Context& context);
void attention_forward(const AttentionForward& op, const Context& context);
void attention_backward(const AttentionBackward& op, const Context& context);
void dropout(const DropoutApply& op, const Context& context);
void gather_rows(const GatherRows& op, const Context& context);
void scatter_rows(const ScatterRows& op, const Context& context);
void cross_entropy(const CrossEntropy& op, const Context& context);
void span_cross_entropy(const SpanCrossEntropy& op, const Context& context);
void squared_error(const SquaredError& op, const Context& context);
void column_sum(const ColumnSum& op, const Context& context);
void square_sums(const SquareSums& op, const Context& context);
void step_decision(const StepDecision& op, const Context& context);
void adam_step(std::span<const AdamStep> ranges, const Context& context);
void lamb_direction(std::span<const LambDirection> ranges, const Context& context);
void trust_ratios(const TrustRatios& op, const Context& context);
void lamb_apply(std::span<const LambApply> ranges, const Context& context);
void add(const Add& op, const Context& context);
void cast(const Cast& op, const Context& context);

// What is left of a product after cuBLASLt has written alpha op(a) op(b) to `products` (then beta c is still to be added), or all of
// alpha op(a) op(b) + beta c to c (products null): bias, derivative or activation.
void matmul_epilogue(const Matmul& op, const float* products, const Context& context);
// row_sums += sums: the library overwrites where it writes them.
void add_row_sums(const float* sums, const Tensor& row_sums, const Context& context);

}  // namespace mpibert::cuda
