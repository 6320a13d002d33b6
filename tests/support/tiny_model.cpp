#include "tests/support/tiny_model.h"

#include <algorithm>

#include "mpibert/train/evaluator.h"

namespace mpibert::test {

Batch pack(const std::vector<Sequence>& sequences, int64_t max_position_embeddings) {
  std::vector<int32_t> ids, types, positions, keys, starts{0}, sequence_keys;
  int64_t longest = 0;
  for (const Sequence& s : sequences) {
    const auto length = static_cast<int32_t>(s.input_ids.size());
    longest = std::max<int64_t>(longest, length);
    sequence_keys.push_back(static_cast<int32_t>(s.place * max_position_embeddings));
    for (int32_t i = 0; i < length; ++i) {
      ids.push_back(s.input_ids[static_cast<size_t>(i)]);
      types.push_back(i < length / 2 ? 0 : 1);
      positions.push_back(i);
      keys.push_back(sequence_keys.back() + i);
    }
    starts.push_back(static_cast<int32_t>(ids.size()));
  }
  Batch batch;
  batch.set_extent(static_cast<int64_t>(ids.size()), static_cast<int64_t>(sequences.size()), longest);
  batch.add("input_ids", ids);
  batch.add("token_type_ids", types);
  batch.add("position_ids", positions);
  batch.add("token_keys", keys);
  batch.add("cu_seqlens", starts);
  batch.add("sequence_keys", sequence_keys);
  return batch;
}

TinyModel::TinyModel(const BertConfig& config, const Model::MakeHead& make_head, DType compute, BatchLimits limits, bool train,
                     Device device)
    : backend(make_backend(device)), model(config, arena, make_head) {
  arena.allocate(*backend, compute, arena.size());
  std::vector<float> masters(static_cast<size_t>(arena.padded_size()));
  const Tensor host = host_tensor(std::span(masters), {arena.padded_size()});
  arena.initialize(0, 0, host);
  for (const Parameter& p : arena.parameters())
    if (!p.constant) std::ranges::copy(closed_form_weights(p.name, p.shape.size()), p.in(host).span<float>().begin());
  arena.set_values(*backend, host);
  gradients_ = backend->allocate(masters.size() * sizeof(float));
  arena.use_gradients(gradients_.view(DType::kFloat32, {arena.padded_size()}));
  losses_ = backend->allocate(8 * sizeof(float));
  state_ = backend->allocate(sizeof(StepState));
  model.plan(*backend, compute, limits, train);
  model.allocate(*backend);
  clear();
}

Pass TinyModel::pass(bool train) const {
  const Tensor losses = losses_.view(DType::kFloat32, {8});
  return {.train = train,
          .state = state_.view(DType::kUInt8, {kStepStateBytes}),
          .first_trained = first_trained,
          .loss_sums = losses.elements(0, 4),
          .correct = losses.elements(4, 8)};
}

void TinyModel::upload_state() {
  backend->upload(Tensor(&state, DType::kUInt8, {kStepStateBytes}), state_.view(DType::kUInt8, {kStepStateBytes}));
}

void TinyModel::run(const Batch& batch, const GradientReady& ready, std::vector<int64_t> global_counts) {
  const std::vector<LossTerm> terms = model.head().terms();
  if (global_counts.empty()) global_counts = model.head().count(batch);
  for (size_t i = 0; i < terms.size(); ++i)
    state.loss_weights[i] = global_counts[i] > 0 ? terms[i].weight / static_cast<float>(global_counts[i]) : 0.0f;
  upload_state();
  model.put(*backend, batch);
  model.forward(*backend, pass(true));
  model.backward(*backend, pass(true), ready);
}

void TinyModel::forward(const Batch& batch, bool train) {
  upload_state();
  model.put(*backend, batch);
  model.forward(*backend, pass(train));
}

std::vector<float> TinyModel::gradient(const std::string& parameter) const { return host_floats(*backend, arena.find(parameter).gradient); }
std::vector<float> TinyModel::gradients() const { return host_floats(*backend, arena.gradients()); }
std::vector<float> TinyModel::logits(int term) const { return host_floats(*backend, model.logits(term)); }

std::vector<float> TinyModel::losses() const { return host_floats(*backend, losses_.view(DType::kFloat32, {8})); }

void TinyModel::clear() {
  backend->zero(arena.gradients());
  backend->zero(losses_.view(DType::kFloat32, {8}));
}

BertConfig tiny_config(const std::string& hidden_act) {
  BertConfig config;
  config.vocab_size = 61;
  config.hidden_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.intermediate_size = 40;
  config.max_position_embeddings = 24;
  config.hidden_act = hidden_act;
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
  return config;
}

Model::MakeHead pretraining_head() {
  return [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<PretrainingHead>(config, arena); };
}

Model::MakeHead question_answering_head() {
  return {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<QuestionAnsweringHead>(config, arena); }, false};
}

Model::MakeHead masked_lm_head() {
  return {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<MaskedLmHead>(config, arena); }, false};
}

Model::MakeHead classification_head(int64_t num_labels) {
  return [num_labels](const BertConfig& config, ParameterArena& arena) {
    return std::make_unique<SequenceClassificationHead>(config, arena, num_labels);
  };
}

Model::MakeHead multiple_choice_head() {
  return [](const BertConfig& config, ParameterArena& arena) { return std::make_unique<MultipleChoiceHead>(config, arena); };
}

Model::MakeHead token_head(int64_t num_labels) {
  return {[num_labels](const BertConfig& config, ParameterArena& arena) {
            return std::make_unique<TokenClassificationHead>(config, arena, num_labels);
          },
          false};
}

}  // namespace mpibert::test
