#include "mpibert/model/head.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

bool Head::wants_loss(const Batch& batch, std::string_view labels, const Pass& pass) {
  MPIBERT_CHECK(!pass.train || pass.loss_sums, kInvalidArgument, "a pass that trains has no loss_sums");
  return pass.train || (pass.loss_sums && batch.has(labels));
}

int64_t Head::count_labels(const Batch& host, std::string_view labels) {
  return std::ranges::count_if(host[labels].span<int32_t>(), [](int32_t label) { return label >= 0; });
}

void Head::add_cross_entropy(Backend& backend, const Batch& batch, std::string_view labels, int term, const Pass& pass,
                             const Tensor& logits) {
  if (!wants_loss(batch, labels, pass)) return;
  backend.cross_entropy({.logits = logits,
                         .labels = batch[labels].elements(0, logits.shape()[0]),
                         .state = pass.state,
                         .term = term,
                         .smoothing = pass.train ? pass.label_smoothing : 0,
                         .backward = pass.train,
                         .loss_sum = pass.loss_sums.elements(term, term + 1),
                         .correct = pass.correct.elements(term, term + 1)});
}

}  // namespace mpibert
