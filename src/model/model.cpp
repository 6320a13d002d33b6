#include "model/device_batch.h"
#include "model/padding.h"
#include "mpibert/base/error.h"
#include "mpibert/model/bert.h"

namespace mpibert {

namespace {

const BertConfig& checked(const BertConfig& config) {
  check(config);
  return config;
}

}  // namespace

Model::Model(const BertConfig& config, ParameterArena& arena, const MakeHead& make_head)
    : config_(checked(config)),
      bert_(config, arena, make_head.pooler()),
      uses_pooler_(make_head.pooler()),
      head_(make_head(config, arena)),
      device_batch_(std::make_unique<DeviceBatch>()) {}
Model::~Model() = default;

int64_t Model::plan(const Backend& backend, DType compute, const BatchLimits& limits, bool train) {
  MPIBERT_CHECK(limits.tokens > 0 && limits.sequences > 0 && limits.predictions >= 0 && limits.max_seq_length > 0, kInvalidArgument,
                "activations are planned for ", limits.tokens, " tokens, ", limits.sequences, " sequences, ", limits.predictions,
                " predictions and a longest sequence of ", limits.max_seq_length, ": expected positive numbers");
  activations_ = std::make_unique<ActivationArena>();
  limits_ = limits;
  planned_to_train_ = train;
  const BatchLimits largest = backend.device().type == DeviceType::kCpu ? limits : padded_limits(limits);
  device_batch_->plan(*activations_, backend, largest, head_->labels());
  bert_.plan(*activations_, backend, compute, largest, train);
  head_->plan(*activations_, compute, largest, train);
  d_hidden_ = train ? &activations_->scratch("d_hidden", compute, {largest.tokens, config_.hidden_size}) : nullptr;
  d_pooled_ = train && uses_pooler_ ? &activations_->scratch("d_pooled", compute, {largest.sequences, config_.hidden_size}) : nullptr;
  return activations_->planned_bytes();
}

void Model::allocate(Backend& backend) {
  MPIBERT_CHECK(activations_, kInvalidArgument, "a model is allocated before it is planned");
  activations_->allocate(backend);
}

void Model::check_batch(const BatchShape& batch) const {
  MPIBERT_CHECK(activations_, kInvalidArgument, "a batch is given to a model that is not planned");
  MPIBERT_CHECK(batch.max_seq_length <= config_.max_position_embeddings, kInvalidArgument, "a sequence of ", batch.max_seq_length,
                " tokens is longer than the model's max_position_embeddings, ", config_.max_position_embeddings);
  const auto within = [](const char* what, int64_t found, int64_t planned) {
    MPIBERT_CHECK(found <= planned, kInvalidArgument, "a batch has ", what, " ", found, " but activations are planned for ", planned,
                  ": plan for larger batches or make smaller ones");
  };
  within("tokens:", batch.tokens, limits_.tokens);
  within("sequences:", batch.sequences, limits_.sequences);
  within("a longest sequence of", batch.max_seq_length, limits_.max_seq_length);
  within("masked positions:", batch.predictions, limits_.predictions);
}

const Batch& Model::put(Backend& backend, const Batch& host) {
  real_ = shape_of(host);
  check_batch(real_);
  inputs_ = &device_batch_->put(backend, host);
  has_output_ = false;
  return *inputs_;
}

void Model::forward(Backend& backend, const Pass& pass) {
  MPIBERT_CHECK(inputs_, kInvalidArgument, "a forward of no batch: put one first");
  MPIBERT_CHECK(planned_to_train_ || !pass.train, kInvalidArgument, "a pass that trains is given to a model planned for evaluation");
  output_ = bert_.forward(backend, *inputs_, pass);
  head_->forward(backend, *inputs_, output_, pass);
  has_output_ = true;
}

void Model::backward(Backend& backend, const Pass& pass, const GradientReady& ready) {
  MPIBERT_CHECK(has_output_ && planned_to_train_, kInvalidArgument, "a backward follows a forward that trains, of the batch last put");
  const EncoderOutput gradient{.hidden = d_hidden_->rows(inputs_->tokens()),
                               .pooled = d_pooled_ ? d_pooled_->rows(inputs_->sequences()) : Tensor{}};
  backend.zero(gradient.hidden);
  head_->backward(backend, *inputs_, output_, pass, gradient);
  const bool last = head_->first_offset() <= pass.first_trained;
  if (ready) ready(last ? 0 : head_->first_offset());
  if (!last) bert_.backward(backend, *inputs_, pass, gradient, ready);
}

Tensor Model::logits(int term) const {
  MPIBERT_CHECK(has_output_, kInvalidArgument, "there are no logits of the batch last put: run a forward first");
  const Per per = head_->terms()[static_cast<size_t>(term)].per;
  return head_->logits(term).rows(0, per == Per::kToken ? real_.tokens : per == Per::kPrediction ? real_.predictions : real_.sequences);
}

}  // namespace mpibert
