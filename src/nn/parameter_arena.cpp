#include "mpibert/nn/parameter_arena.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mpibert/base/error.h"
#include "mpibert/base/random.h"
#include "mpibert/ops/host_cast.h"

namespace mpibert {

namespace {

constexpr int64_t kDrawsPerStream = 65536;  // the unit of parallel initialization; part of what a seed means

int64_t aligned(int64_t offset) {
  return (offset + ParameterArena::kAlignment - 1) / ParameterArena::kAlignment * ParameterArena::kAlignment;
}

void fill_normal(uint64_t seed, int64_t parameter, float deviation, std::span<float> values) {
  const int64_t size = static_cast<int64_t>(values.size()), streams = (size + kDrawsPerStream - 1) / kDrawsPerStream;
#pragma omp parallel for schedule(dynamic)
  for (int64_t s = 0; s < streams; ++s) {
    RandomStream random(seed, RandomPurpose::kParameters, static_cast<uint64_t>(parameter) << 32 | static_cast<uint64_t>(s));
    for (int64_t i = s * kDrawsPerStream; i < std::min(size, (s + 1) * kDrawsPerStream); ++i)
      values[static_cast<size_t>(i)] = static_cast<float>(double{deviation} * random.normal());
  }
}

void fill_sinusoids(int64_t columns, std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i) / columns, column = static_cast<int64_t>(i) % columns;
    const double angle = static_cast<double>(row) / std::pow(10000.0, static_cast<double>(column / 2 * 2) / static_cast<double>(columns));
    values[i] = static_cast<float>(column % 2 == 0 ? std::sin(angle) : std::cos(angle));
  }
}

}  // namespace

Tensor Parameter::in(const Tensor& flat) const { return flat.elements(offset, end()).reshape(shape); }

Parameter& ParameterArena::append(std::deque<Parameter>& list, std::string name, Shape shape, Init init, bool decay, int64_t offset) {
  MPIBERT_CHECK(!values_, kInvalidArgument, "parameter '", name, "' is declared after the arena was allocated");
  MPIBERT_CHECK(!has(name), kInvalidArgument, "parameter '", name, "' is declared twice");
  MPIBERT_CHECK(shape.rank() > 0 && shape.size() > 0, kInvalidArgument, "parameter '", name, "' has shape ", shape.text(),
                ": it holds nothing");
  Parameter& p = list.emplace_back();
  p.name = std::move(name);
  p.shape = shape;
  p.init = init;
  p.decay = decay;
  p.offset = offset;
  size_ = aligned(p.end());
  return p;
}

const Parameter& ParameterArena::add(std::string name, Shape shape, Init init, bool decay) {
  return append(parameters_, std::move(name), shape, init, decay, size_);
}

const Parameter& ParameterArena::add_constant(std::string name, Shape shape, Init init) {
  Parameter& p = append(parameters_, std::move(name), shape, init, false, size_);
  p.constant = true;
  p.rate = 0;
  return p;
}

const Parameter& ParameterArena::add_stacked(const std::vector<std::string>& names, Shape each, Init init, bool decay) {
  MPIBERT_CHECK(!names.empty(), kInvalidArgument, "a stack of parameters needs names");
  const int64_t begin = size_;
  int64_t offset = begin;
  for (const std::string& name : names) offset = append(parameters_, name, each, init, decay, offset).end();
  return append(stacks_, names.front() + "...", each.with_rows(static_cast<int64_t>(names.size()) * each[0]), init, decay, begin);
}

bool ParameterArena::has(std::string_view name) const {
  return std::any_of(parameters_.begin(), parameters_.end(), [&](const Parameter& p) { return p.name == name; });
}

const Parameter& ParameterArena::find(std::string_view name) const {
  for (const Parameter& p : parameters_)
    if (p.name == name) return p;
  throw Error(ErrorKind::kInvalidArgument, str_cat("the model has no parameter '", name, "'"));
}

void ParameterArena::set_rate(std::string_view name, float rate) {
  MPIBERT_CHECK(rate >= 0, kInvalidArgument, "parameter '", name, "': its share of the learning rate is ", rate, ", expected 0 or more");
  const auto found = std::find_if(parameters_.begin(), parameters_.end(), [&](const Parameter& p) { return p.name == name; });
  MPIBERT_CHECK(found != parameters_.end(), kInvalidArgument, "the model has no parameter '", name, "'");
  MPIBERT_CHECK(!found->constant || rate == 0, kInvalidArgument, "parameter '", name,
                "' is a constant of the model: its share of the learning rate is 0, not ", rate);
  found->rate = rate;
}

int64_t ParameterArena::first_trained() const {
  for (const Parameter& p : parameters_)
    if (p.rate > 0) return p.offset;
  return size_;
}

std::vector<Segment> ParameterArena::segments() const {
  std::vector<Segment> segments;
  for (const Parameter& p : parameters_) segments.push_back({p.offset, p.end(), p.decay, p.rate});
  return segments;
}

void ParameterArena::allocate(Backend& backend, DType compute, int64_t padded_size) {
  MPIBERT_CHECK(!values_, kInvalidArgument, "the parameters are allocated already");
  MPIBERT_CHECK(size_ > 0, kInvalidArgument, "there are no parameters to allocate");
  MPIBERT_CHECK(is_float(compute), kInvalidArgument, "parameters are fp32, bf16 or fp16, not ", name_of(compute));
  MPIBERT_CHECK(padded_size >= size_ && padded_size % kAlignment == 0, kInvalidArgument, "parameters padded to ", padded_size,
                " elements: expected a multiple of ", kAlignment, " from ", size_, " on");
  padded_size_ = padded_size;
  compute_ = compute;
  buffer_ = backend.allocate(static_cast<size_t>(padded_size) * bytes_of(compute));
  values_ = buffer_.view(compute, {padded_size});
  backend.zero(values_);
  for (std::deque<Parameter>* list : {&parameters_, &stacks_})
    for (Parameter& p : *list) p.value = p.in(values_);
}

void ParameterArena::use_gradients(const Tensor& flat) {
  MPIBERT_CHECK(values_, kInvalidArgument, "gradients are given before the parameters are allocated");
  MPIBERT_CHECK(flat && flat.dtype() == DType::kFloat32 && flat.shape() == Shape{padded_size_} && flat.device() == values_.device(),
                kInvalidArgument, "gradients: expected [", padded_size_, "] fp32 on the device of the parameters, found ",
                flat.shape().text(), " ", name_of(flat.dtype()));
  gradients_ = flat;
  for (std::deque<Parameter>* list : {&parameters_, &stacks_})
    for (Parameter& p : *list) p.gradient = p.in(flat);
}

void ParameterArena::initialize(uint64_t seed, float initializer_range, const Tensor& host_masters) const {
  MPIBERT_CHECK(host_masters.size() >= size_, kInvalidArgument, "masters of ", host_masters.size(), " elements for ", size_,
                " of parameters");
  std::ranges::fill(host_masters.span<float>(), 0.0f);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    const std::span<float> values = p.in(host_masters).span<float>();
    if (p.init == Init::kOne) std::ranges::fill(values, 1.0f);
    if (p.init == Init::kSinusoid) fill_sinusoids(p.shape[-1], values);
    if (p.init == Init::kNormal) fill_normal(seed, static_cast<int64_t>(i), initializer_range, values);
  }
}

void ParameterArena::set_values(Backend& backend, const Tensor& host_masters) const {
  MPIBERT_CHECK(values_, kInvalidArgument, "values are set before the parameters are allocated");
  MPIBERT_CHECK(host_masters.size() == padded_size_, kInvalidArgument, "masters of ", host_masters.size(), " elements for values of ",
                padded_size_);
  if (compute_ == DType::kFloat32) return backend.upload(host_masters, values_);
  const Buffer memory = backend.allocate_host(values_.bytes());
  const Tensor rounded = memory.view(compute_, {padded_size_});
  host_cast(host_masters, rounded);
  backend.upload(rounded, values_);
}

}  // namespace mpibert
