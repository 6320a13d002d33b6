#include "model/device_batch.h"
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
    : config_(checked(config)), bert_(config, arena), head_(make_head(config, arena)), inputs_(std::make_unique<DeviceBatch>()) {}
Model::~Model() = default;

int64_t Model::plan(const Backend& backend, DType compute, const BatchLimits& limits, bool train) {
  MPIBERT_CHECK(limits.tokens > 0 && limits.sequences > 0 && limits.predictions >= 0 && limits.max_seq_length > 0, kInvalidArgument,
                "activations are planned for ", limits.tokens, " tokens, ", limits.sequences, " sequences, ", limits.predictions,
                " predictions and a longest sequence of ", limits.max_seq_length, ": expected positive numbers");
  activations_ = std::make_unique<ActivationArena>();
  limits_ = limits;
  planned_to_train_ = train;
  bert_.plan(*activations_, backend, compute, limits, train);
  head_->plan(*activations_, compute, limits, train);
  d_hidden_ = train ? &activations_->scratch("d_hidden", compute, {limits.tokens, config_.hidden_size}) : nullptr;
  d_pooled_ = train ? &activations_->scratch("d_pooled", compute, {limits.sequences, config_.hidden_size}) : nullptr;
  return activations_->planned_bytes();
}

void Model::allocate(Backend& backend) {
  MPIBERT_CHECK(activations_, kInvalidArgument, "a model is allocated before it is planned");
  activations_->allocate(backend);
}

void Model::check_batch(const Batch& batch, const Pass& pass) const {
  MPIBERT_CHECK(activations_, kInvalidArgument, "a batch is given to a model that is not planned");
  MPIBERT_CHECK(planned_to_train_ || !pass.train, kInvalidArgument, "a pass that trains is given to a model planned for evaluation");
  MPIBERT_CHECK(batch.max_seq_length() <= config_.max_position_embeddings, kInvalidArgument, "a sequence of ", batch.max_seq_length(),
                " tokens is longer than the model's max_position_embeddings, ", config_.max_position_embeddings);
  const auto within = [](const char* what, int64_t found, int64_t planned) {
    MPIBERT_CHECK(found <= planned, kInvalidArgument, "a batch has ", what, " ", found, " but activations are planned for ", planned,
                  ": plan for larger batches or make smaller ones");
  };
  within("tokens:", batch.tokens(), limits_.tokens);
  within("sequences:", batch.sequences(), limits_.sequences);
  within("a longest sequence of", batch.max_seq_length(), limits_.max_seq_length);
  if (batch.has("masked_lm_positions")) within("masked positions:", batch["masked_lm_positions"].size(), limits_.predictions);
}

void Model::forward(Backend& backend, const Batch& batch, const Pass& pass) {
  check_batch(batch, pass);
  const Batch& inputs = inputs_->put(backend, batch);
  output_ = bert_.forward(backend, inputs, pass);
  head_->forward(backend, inputs, output_, pass);
}

void Model::backward(Backend& backend, const Batch& batch, const Pass& pass, const GradientReady& ready) {
  check_batch(batch, pass);
  const EncoderOutput gradient{.hidden = d_hidden_->rows(batch.tokens()), .pooled = d_pooled_->rows(batch.sequences())};
  const Batch& inputs = inputs_->get(backend, batch);
  backend.zero(gradient.hidden);
  head_->backward(backend, inputs, output_, pass, gradient);
  if (ready) ready(head_->first_offset());
  bert_.backward(backend, inputs, pass, gradient, ready);
}

}  // namespace mpibert
