#pragma once

#include "mpibert/data/batch.h"
#include "mpibert/data/schema.h"
#include "mpibert/model/pass.h"

namespace mpibert {

// Batches of a card are filled up, so that they come in few shapes: work is captured, and plans of products are kept, by shape. T becomes a
// multiple of the power of two at most T / 32 (at least 64), P of that at most P / 16 (at least 8), B of that at most B / 4 and an eighth
// of T's, S of 64.
//
// Filler sequences stand behind the real ones and share the filler tokens, whose numbers are all 0; filler predictions point to different
// filler tokens. Their labels count for nothing (-1, NaN), so that what leaves a filler row in backward is 0, and gradients are those of
// the real rows. A pure function of the batch, so that a micro-batch is computed in the same shape by any rank.

// The shape in which a batch of `real` is computed: at least that, and with fillers of which each sequence has 1 to S' tokens.
BatchShape padded_shape(const BatchShape& real);
// What padded_shape of any batch within `limits` stays within.
BatchShape padded_limits(const BatchShape& limits);

// What a model reads of a batch on the host, its inputs and those of the labels that it has, in padded_shape.
Batch pad(const Batch& batch, const Schema& labels);

}  // namespace mpibert
