#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert {

// kSinusoid: row p, column j of n are sin(a), j even, or cos(a), j odd, of a = p / 10000^(2 floor(j / 2) / n), as transformers'
// create_sinusoidal_embeddings lays them out.
enum class Init : uint8_t { kZero, kOne, kNormal, kSinusoid };

// One named tensor of the model. Its numbers lie at [offset, offset + shape.size()) of every flat buffer.
struct Parameter {
  std::string name;  // as in a checkpoint of transformers, e.g. "bert.encoder.layer.0.attention.self.query.weight"
  Shape shape;
  Init init = Init::kZero;
  bool decay = false;     // weight decay applies: true for weights, false for biases and layer norms
  float rate = 1;         // its share of the learning rate; 0: frozen
  bool constant = false;  // frozen for ever
  int64_t offset = 0;
  Tensor value, gradient;  // views of the arena's flat buffers; empty before allocate() and use_gradients()

  int64_t end() const { return offset + shape.size(); }
  // This parameter's part of a flat buffer of the same order (masters, moments), in its own shape.
  Tensor in(const Tensor& flat) const;
};

// A parameter as optimizers see it.
struct Segment {
  int64_t begin = 0, end = 0;
  bool decay = false;
  float rate = 1;  // 0: frozen. It never changes, it has no moments to speak of, and its gradient is no part of any norm
};

// The parameters of a model in the order of their declaration, which is the order of forward, so that backward finishes them from the end.
// Two flat buffers of padded_size elements: values in compute precision (owned here) and fp32 gradients (owned by whoever sums them). The
// fp32 masters and the moments are the optimizer's; they have the same order. Offsets are multiples of 128 elements, except inside a stack.
// What lies between and behind the parameters is zero and stays zero.
class ParameterArena {
 public:
  static constexpr int64_t kAlignment = 128;

  ParameterArena() = default;
  ParameterArena(const ParameterArena&) = delete;
  ParameterArena& operator=(const ParameterArena&) = delete;

  // Declares one. The reference stays valid as long as the arena. Throws kInvalidArgument on a second of the same name and after
  // allocate().
  const Parameter& add(std::string name, Shape shape, Init init, bool decay);
  // Declares one that is part of every checkpoint and never trained: its rate is 0, and its gradient zero.
  const Parameter& add_constant(std::string name, Shape shape, Init init);
  // Declares parameters of equal shape [n, ...] that lie back to back and are used as one [names * n, ...], e.g. query, key and value.
  // parameters(), find() and segments() know the named parts; the returned parameter is the whole.
  const Parameter& add_stacked(const std::vector<std::string>& names, Shape each, Init init, bool decay);

  // The share of the learning rate that a parameter takes, 1 unless said; before an optimizer is made. 0 freezes it. Throws
  // kInvalidArgument below 0, and above it for a constant.
  void set_rate(std::string_view name, float rate);
  int64_t first_trained() const;  // offset of the first parameter that is not frozen; size() where all are

  const std::deque<Parameter>& parameters() const { return parameters_; }
  const Parameter& find(std::string_view name) const;  // throws kInvalidArgument naming it
  bool has(std::string_view name) const;
  std::vector<Segment> segments() const;  // one for each of parameters(), in their order
  int64_t size() const { return size_; }  // end of the last parameter, rounded up to kAlignment

  // Allocates the values, zeroed, in precision `compute` (fp32, bf16 or fp16). Once, after every add(). padded_size >= size(), a multiple
  // of kAlignment.
  void allocate(Backend& backend, DType compute, int64_t padded_size);
  int64_t padded_size() const { return padded_size_; }
  DType compute() const { return compute_; }
  Tensor values() const { return values_; }  // [padded_size]
  // From here on the parameters' gradients are views of `flat`: [padded_size] fp32 on the arena's device. Costs nothing on the device.
  void use_gradients(const Tensor& flat);
  Tensor gradients() const { return gradients_; }

  // Fills host_masters ([padded_size] fp32 on the host; before allocate(): [size()]) with a new model: normal(0, initializer_range), ones,
  // zeros or sinusoids by each parameter's Init. A number is a function of (seed, place of the parameter in the order of declaration,
  // index), of nothing else.
  void initialize(uint64_t seed, float initializer_range, const Tensor& host_masters) const;
  // values = host_masters, rounded to the compute precision. Waits.
  void set_values(Backend& backend, const Tensor& host_masters) const;

 private:
  Parameter& append(std::deque<Parameter>& list, std::string name, Shape shape, Init init, bool decay, int64_t offset);

  std::deque<Parameter> parameters_, stacks_;
  int64_t size_ = 0, padded_size_ = 0;
  DType compute_ = DType::kFloat32;
  Buffer buffer_;
  Tensor values_, gradients_;
};

}  // namespace mpibert
