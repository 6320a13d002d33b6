#pragma once

#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "mpibert/model/config.h"
#include "mpibert/model/head.h"
#include "mpibert/model/layers.h"

namespace mpibert {

// Embeddings, L encoder layers and, where `pooler` says so, the pooler; without it nothing is pooled.
class BertModel {
 public:
  BertModel(const BertConfig& config, ParameterArena& arena, bool pooler);
  void plan(ActivationArena& arena, const Backend& backend, DType compute, const BatchLimits& limits, bool train);
  EncoderOutput forward(Backend& backend, const Batch& batch, const Pass& pass);
  // d_output: the gradients of forward's output, both overwritten.
  void backward(Backend& backend, const Batch& batch, const Pass& pass, const EncoderOutput& d_output, const GradientReady& ready);

 private:
  int64_t hidden_size_;
  Embeddings embeddings_;
  std::deque<EncoderLayer> layers_;
  std::optional<Pooler> pooler_;
  std::deque<Tensor> inputs_;  // of each layer, of the last forward; one more than layers: the last is the encoder's output
  const PlannedTensor* scratch_ = nullptr;
};

class DeviceBatch;

// A BertModel and a head: what is trained. Batches are given on the host; it takes them to where the backend computes.
//
//   ParameterArena arena;
//   Model model(config, arena, [](const BertConfig& c, ParameterArena& a) { return std::make_unique<PretrainingHead>(c, a); });
//   arena.allocate(*backend, DType::kFloat32, arena.size());
//   arena.use_gradients(gradients);  // [arena.padded_size()] fp32, zeroed by the caller
//   model.plan(*backend, arena.compute(), {.tokens = 4096, .sequences = 64, .predictions = 640, .max_seq_length = 512}, true);
//   model.allocate(*backend);
//   model.put(*backend, batch);
//   model.forward(*backend, pass);
//   model.backward(*backend, pass, ready);
class Model {
 public:
  // What makes the head, and whether that reads EncoderOutput::pooled: a model whose head does not has no bert.pooler.*, as transformers'
  // models with add_pooling_layer=False.
  class MakeHead {
   public:
    using Function = std::function<std::unique_ptr<Head>(const BertConfig&, ParameterArena&)>;
    MakeHead() = default;
    template <class F>
    requires std::constructible_from<Function, F> &&(!std::same_as<std::remove_cvref_t<F>, MakeHead>)MakeHead(F&& make, bool pooler = true)
        : make_(std::forward<F>(make)), pooler_(pooler) {}
    std::unique_ptr<Head> operator()(const BertConfig& config, ParameterArena& arena) const { return make_(config, arena); }
    bool pooler() const { return pooler_; }

   private:
    Function make_;
    bool pooler_ = true;
  };

  // Declares all parameters in the order of forward. Throws kInvalidArgument as check(config) does.
  Model(const BertConfig& config, ParameterArena& arena, const MakeHead& make_head);
  ~Model();

  // Reserves activations for batches up to `limits`, for training or for evaluation alone; a second plan replaces the first. Returns bytes,
  // which on a card are those of batches filled up to few shapes (src/model/padding.h).
  int64_t plan(const Backend& backend, DType compute, const BatchLimits& limits, bool train);
  void allocate(Backend& backend);  // the planned activations; the only device memory a Model has

  // Takes a batch to where the backend computes, for forward and backward. On the CPU it stays where it is, and must outlive them; on a
  // card what is returned has fillers behind its rows, and lies where every batch does. Throws kInvalidArgument on a batch beyond the plan
  // or longer than max_position_embeddings.
  const Batch& put(Backend& backend, const Batch& host);
  void forward(Backend& backend, const Pass& pass);
  // After a forward that trains. Adds to the gradients of all parameters, top to bottom; calls `ready`, if there is one, after the head,
  // the pooler, every layer and the embeddings with the offset from which on gradients are final: last with 0.
  void backward(Backend& backend, const Pass& pass, const GradientReady& ready = {});
  // Of the last forward: one row of the term's logits (Head::logits) for each token, sequence or prediction of the host's batch, as
  // LossTerm::per says.
  Tensor logits(int term) const;

  Head& head() { return *head_; }
  const Head& head() const { return *head_; }
  const BertConfig& config() const { return config_; }
  const BatchLimits& limits() const { return limits_; }

 private:
  void check_batch(const BatchShape& batch) const;

  BertConfig config_;
  BertModel bert_;
  bool uses_pooler_;
  std::unique_ptr<Head> head_;
  std::unique_ptr<ActivationArena> activations_;
  BatchLimits limits_;
  bool planned_to_train_ = false;
  const PlannedTensor *d_hidden_ = nullptr, *d_pooled_ = nullptr;  // d_pooled_ where there is a pooler
  std::unique_ptr<DeviceBatch> device_batch_;
  const Batch* inputs_ = nullptr;  // where the backend computes
  BatchShape real_;                // of the host's batch
  bool has_output_ = false;        // forward has run since put()
  EncoderOutput output_;
};

}  // namespace mpibert
