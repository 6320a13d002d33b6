#pragma once

#include <memory>
#include <vector>

#include "mpibert/optim/optimizer.h"

namespace mpibert {

std::unique_ptr<Optimizer> make_adam(AdamKind kind, const OptimizerOptions& options, Backend& backend, const ParameterArena& arena,
                                     std::vector<Piece> pieces);
std::unique_ptr<Optimizer> make_lamb(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena,
                                     std::vector<Piece> pieces);

}  // namespace mpibert
