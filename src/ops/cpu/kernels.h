#pragma once

// The operations of the CPU backend, one function each, one file each. Arguments have been checked (src/ops/check.cpp); what depends on the
// numbers themselves (ids, labels, indices) is checked here and throws kInvalidArgument.

#include "mpibert/ops/ops.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {

void activation_backward(const ActivationBackward& op);
void embedding_forward(const EmbeddingForward& op);
void embedding_backward(const EmbeddingBackward& op, Workspace& workspace);
void layer_norm_forward(const LayerNormForward& op);
void layer_norm_backward(const LayerNormBackward& op, Workspace& workspace);
void dropout(const DropoutApply& op);
void gather_rows(const GatherRows& op);
void scatter_rows(const ScatterRows& op, Workspace& workspace);
void cross_entropy(const CrossEntropy& op, Workspace& workspace);
void span_cross_entropy(const SpanCrossEntropy& op, Workspace& workspace);
void squared_error(const SquaredError& op);
void column_sum(const ColumnSum& op, Workspace& workspace);
void square_sums(const SquareSums& op, Workspace& workspace);
void step_decision(const StepDecision& op);
void adam_step(const AdamStep& op);
void lamb_direction(const LambDirection& op);
void trust_ratios(const TrustRatios& op);
void lamb_apply(const LambApply& op);
void add(const Add& op);
void cast(const Cast& op);

// Copies bytes, or clears them, on all threads where there are enough of them.
void copy_bytes(void* to, const void* from, size_t bytes);
void zero_bytes(void* to, size_t bytes);

}  // namespace mpibert::cpu
