#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mpibert/nn/parameter_arena.h"
#include "mpibert/optim/norm_blocks.h"

namespace mpibert {

// kind      update, with m, v the moments corrected by 1 - beta^t where correct_bias, wd the weight decay (0 for biases and layer norms)
// adam      g += wd w;  w -= lr m / (sqrt(v) + eps)                    torch.optim.Adam
// adamw     w -= lr wd w;  w -= lr m / (sqrt(v) + eps)                 torch.optim.AdamW
// adamw-hf  epsilon under the uncorrected root, decay after the update: transformers' AdamW; with correct_bias = false the one of Google's
// BERT lamb      u = m / (sqrt(v) + eps) + wd w;  w -= lr r u,  r = |w| / |u| of each parameter, 1 where either norm is 0.
//           You et al. 2019, arXiv:1904.00962v5, algorithm 2, with phi the identity. Clip by max_grad_norm before it or not, as any
//             optimizer.
// nvlamb    apex.optimizers.FusedLAMB, what NVIDIA's BERT recipes run: the same u, but gradients must first be divided by
//           max(1, |g| / max_grad_norm), |g| the norm of all of them, max_grad_norm > 0 (apex: 1.0): Backend::step_decision does it. r is
//             that of lamb for
//           parameters with wd != 0; the others have r = 1, unless use_nvlamb (apex's option of that name, NVIDIA's published NVLAMB).
//           Source: NVIDIA/apex, csrc/multi_tensor_lamb.cu (its two stages); "Pretraining BERT with Layer-wise Adaptive Learning Rates",
//             2019.
struct OptimizerOptions {
  std::string kind = "adamw";
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;  // usual: 1e-8 of adam and adamw, 1e-6 of the others
  double weight_decay = 0.01;
  bool correct_bias = true;
  bool use_nvlamb = false;  // nvlamb only
};

// Moments and masters of the pieces that a rank owns, in compact buffers [owned size], and their update. Where the compute precision is
// fp32, the arena's values are the masters and no copy is kept.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One update of the owned pieces of the arena's values, none where the step was decided to be skipped. gradient [owned size] fp32,
  // compact; LAMB overwrites it. The rate, the decision, the corrections and the factor of the gradient are read from `state` (StepState as
  // bytes, on the device), after Backend::step_decision. Collective for LAMB: it needs norms over ranks.
  virtual void step(const Tensor& state, const Tensor& gradient, const SumOverRanks& sum) = 0;

  // What Backend::step_decision must know of this optimizer.
  StepRule rule(double max_grad_norm = 0, const LossScaleOptions& loss_scale = {}) const;

  // Takes the owned parts of a flat host [padded size] fp32 as masters. With it goes ParameterArena::set_values() of the same numbers.
  void set_masters(const Tensor& host_masters);
  // "exp_avg", "exp_avg_sq" and, unless the values are the masters, "master": compact [owned size] fp32 on the device, for checkpoints.
  const std::vector<std::pair<std::string, Tensor>>& buffers() const { return buffers_; }
  const std::vector<Piece>& pieces() const { return pieces_; }

 protected:
  // What one parameter has in one piece.
  struct OwnedRange {
    size_t segment = 0;
    Range local;   // in compact buffers
    Range global;  // in the flat values
    float rate = 1;
    float weight_decay = 0;
  };

  Optimizer(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena, std::vector<Piece> pieces);
  Tensor master(const OwnedRange& range) const;
  Tensor value(const OwnedRange& range) const { return arena_.values().elements(range.global.begin, range.global.end); }

  OptimizerOptions options_;
  Backend& backend_;
  const ParameterArena& arena_;
  std::vector<Piece> pieces_;
  std::vector<OwnedRange> ranges_;
  Buffer memory_;
  Tensor exp_avg_, exp_avg_sq_, master_;  // master_ empty where the values are the masters
  std::vector<std::pair<std::string, Tensor>> buffers_;
};

// After arena.allocate(). The backend and the arena must outlive the optimizer. Throws kInvalidArgument on an unknown kind (naming those
// there are) and on options out of range.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena,
                                          std::vector<Piece> pieces);

}  // namespace mpibert
