#pragma once

#include <string>

#include "mpibert/nn/parameter_arena.h"

namespace mpibert {

// The parameters of a layer norm, name + ".weight" and name + ".bias" [H]; the operation is LayerNormForward of ops/ops.h.
struct LayerNorm {
  LayerNorm(ParameterArena& arena, const std::string& name, int64_t hidden_size, float eps)
      : weight(arena.add(name + ".weight", {hidden_size}, Init::kOne, false)),
        bias(arena.add(name + ".bias", {hidden_size}, Init::kZero, false)),
        epsilon(eps) {}

  const Parameter& weight;
  const Parameter& bias;
  float epsilon;
};

}  // namespace mpibert
