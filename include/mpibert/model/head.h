#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/data/batch.h"
#include "mpibert/data/schema.h"
#include "mpibert/model/pass.h"
#include "mpibert/nn/activation_arena.h"
#include "mpibert/nn/parameter_arena.h"

namespace mpibert {

// One summand of the loss. Term i of the loss of a step is loss_sums[i] * weight / (labels of term i in the global batch); the trainer
// stores weight / count in StepState::loss_weights[i].
struct LossTerm {
  std::string name;  // "mlm", "nsp", "classification", "regression", "multiple_choice"; "hidden", which has rows but no loss
  float weight = 1;
  Per per = Per::kSequence;  // what has a row of logits
};

// What stands on the encoder: from its output to logits, losses and back. Calls come in the order plan, then forward, backward, forward,
// ...
class Head {
 public:
  virtual ~Head() = default;
  virtual Schema labels() const = 0;  // what it reads of a batch beside the inputs
  virtual std::vector<LossTerm> terms() const = 0;
  // Labels of each term in a batch on the host; negative labels, and NaN, do not count.
  virtual std::vector<int64_t> count(const Batch& host) const = 0;
  virtual int64_t first_offset() const = 0;  // where its own parameters begin in the flat buffers

  virtual void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) = 0;
  // Logits; and, where the batch has labels and the pass has loss_sums, losses; to train also the gradients of the logits, in their place.
  virtual void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) = 0;
  // Adds to the parameters' gradients and to d_encoder.hidden (which holds zeros or another's gradient), writes d_encoder.pooled where the
  // model has a pooler.
  virtual void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                        const EncoderOutput& d_encoder) = 0;
  // [rows of the term, classes] compute, of the last forward, until the next; with the rows of fillers. After a forward that trains they
  // hold gradients.
  virtual Tensor logits(int term) const = 0;

 protected:
  // Whether a term is to be computed: always to train; to evaluate where the batch has its labels and the pass has room for losses.
  // Throws kInvalidArgument on a pass that trains without such room.
  static bool wants_loss(const Batch& batch, std::string_view labels, const Pass& pass);
  // How many of a batch's labels count: those that are not negative.
  static int64_t count_labels(const Batch& host, std::string_view labels);
  // The loss of `term` and, to train, its gradient over the logits; nothing where it is not wanted. Labels beyond the logits' rows are
  // those of fillers.
  static void add_cross_entropy(Backend& backend, const Batch& batch, std::string_view labels, int term, const Pass& pass,
                                const Tensor& logits);
};

}  // namespace mpibert
