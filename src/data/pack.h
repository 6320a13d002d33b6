#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mpibert/data/batch.h"
#include "mpibert/data/dataset.h"
#include "mpibert/data/schema.h"

namespace mpibert {

// One sample and its place in the global batch.
struct PlacedSample {
  Sample sample;
  int64_t place = 0;
};

// The fields of data/batch.h, from samples in this order. `labels` are the fields that every sample has. With choice_lengths among them a
// sample becomes as many sequences, each with positions from 0; that of choice c of the sample at place p has place p n + c for its keys.
// Throws kCorrupt unless all have the same n.
Batch make_batch(std::span<const PlacedSample> samples, const Schema& labels, int64_t max_position_embeddings);

// Throws kInvalidArgument, naming both numbers, when the model cannot take the samples.
struct ModelLimits {
  int64_t max_position_embeddings, vocab_size, micro_tokens, batch_size;
};
void check_limits(const ModelLimits& limits, const Dataset& dataset);

}  // namespace mpibert
