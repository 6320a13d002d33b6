#pragma once

#include <memory>

#include "ops/cuda/kernels.h"

namespace mpibert::cuda {

// Attention by cuDNN: the same operation as attention.cu where it serves, which is without distance embeddings. Its dropout is keyed by the
// place in the launch, not by the token, so that it serves operations without dropout only; its backward is asked for in its deterministic
// form. Saved are the logarithms of the sums, [T, A] fp32.
//
// A plan is made for each number of sequences rounded up to a power of two (those beyond the batch are empty) and each length rounded up to
// a multiple of 64. Calls come from one thread.
class CudnnAttention {
 public:
  virtual ~CudnnAttention() = default;
  // Of these operations: 16-bit numbers, heads of a multiple of 8 up to 128, no dropout.
  virtual bool serves(const Tensor& qkv, const Dropout& dropout) const = 0;
  virtual void forward(const AttentionForward& op) = 0;
  virtual void backward(const AttentionBackward& op) = 0;
};

// Throws kDevice, saying what is missing, where this program was built without cuDNN's front end, and on a card before compute
// capability 9.0.
std::unique_ptr<CudnnAttention> make_cudnn_attention(const Context& context);
std::string cudnn_version();  // "9.19.0", or "not built in"

}  // namespace mpibert::cuda
