#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mpibert/nn/parameter_arena.h"

namespace mpibert {

// How much of the learning rate each parameter takes. With L encoder layers and d = layer_decay:
//   heads and pooler 1;  layer l: d^(L - l), l from 0;  embeddings: d^(L + 1);  0 of what is frozen
// Source of the decay: Clark et al. 2020 (ELECTRA), arXiv:2003.10555, appendix B; its depths here are those of BEiT, arXiv:2106.08254,
// where heads have 1.
struct RateOptions {
  std::vector<std::string> freeze{};  // parameters, or all below a name: "bert", "bert.embeddings", "bert.encoder.layer.3"
  int64_t freeze_layers = 0;          // above 0: also the embeddings and the first so many encoder layers
  double layer_decay = 1;
};

// Sets the rates of all parameters, before an optimizer is made. Throws kInvalidArgument on a name that none has (naming those there are),
// on more layers than there are, and where nothing is left to train.
void set_rates(ParameterArena& arena, const RateOptions& options);

}  // namespace mpibert
