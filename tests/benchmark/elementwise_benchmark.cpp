// GB/s of every operation that is no matrix product. Counted are the bytes an operation must move: each operand once. `copy` shows what
// this machine's memory gives. Shapes are those of BERT-base: 8192 tokens, 768 columns; 30522 words; arguments: 0 is fp32, 1 is bf16.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert {
namespace {

constexpr int64_t kTokens = 8192, kHidden = 768, kVocabulary = 30522, kMasked = 512, kParameters = 20'000'000;

class Bench {
 public:
  explicit Bench(benchmark::State& state) : state_(state), precision(state.range(0) ? DType::kBFloat16 : DType::kFloat32) {}

  Tensor tensor(DType dtype, Shape shape, float value = 0.5f) {
    buffers_.push_back(backend_->allocate(static_cast<size_t>(shape.size()) * bytes_of(dtype)));
    const Tensor t = buffers_.back().view(dtype, shape);
    if (dtype == DType::kFloat32) std::ranges::fill(t.span<float>(), value);
    if (dtype == DType::kBFloat16) std::ranges::fill(t.span<bfloat16>(), bfloat16(value));
    if (dtype == DType::kInt32 || dtype == DType::kUInt8) backend_->zero(t);
    return t;
  }
  Tensor compute(Shape shape, float value = 0.5f) { return tensor(precision, shape, value); }
  Tensor ids(int64_t n, int64_t below) {  // a third of them one id, as special tokens and punctuation are
    const Tensor t = tensor(DType::kInt32, {n});
    for (int64_t i = 0; i < n; ++i) t.span<int32_t>()[static_cast<size_t>(i)] = i % 3 ? static_cast<int32_t>(i * 7919 % below) : 0;
    return t;
  }
  Tensor row_numbers(int64_t n, int64_t step) {
    const Tensor t = tensor(DType::kInt32, {n});
    for (int64_t i = 0; i < n; ++i) t.span<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(i * step);
    return t;
  }
  Tensor state() {
    const Tensor t = tensor(DType::kUInt8, {kStepStateBytes});
    *static_cast<StepState*>(t.data()) = {.learning_rate = 1e-4f, .loss_weights = {1, 1, 1, 1}};
    return t;
  }
  Dropout dropout(float rate, int64_t rows) { return {.rate = rate, .site = 1, .state = state(), .token_keys = row_numbers(rows, 1)}; }

  // Times `run`; `moved` lists the operands it must read or write, one as often as it is.
  void time(std::initializer_list<Tensor> moved, const std::function<void(Backend&)>& run) {
    run(*backend_);
    for (auto _ : state_) run(*backend_);
    size_t bytes = 0;
    for (const Tensor& t : moved) bytes += t.bytes();
    state_.SetBytesProcessed(static_cast<int64_t>(bytes) * state_.iterations());
  }

 private:
  benchmark::State& state_;
  std::unique_ptr<Backend> backend_ = make_backend({});
  std::vector<Buffer> buffers_;

 public:
  DType precision;
};

void copy(benchmark::State& state) {
  Bench bench(state);
  const Tensor a = bench.compute({4 * kTokens, kHidden}), b = bench.compute({4 * kTokens, kHidden});
  bench.time({a, b}, [&](Backend& backend) { backend.copy(a, b); });
}

void activation_backward(benchmark::State& state) {
  Bench bench(state);
  const Tensor gradient = bench.compute({kTokens, 4 * kHidden}), input = bench.compute({kTokens, 4 * kHidden});
  bench.time({gradient, input, gradient},
             [&](Backend& backend) { backend.activation_backward({.gradient = gradient, .input = input, .d_input = gradient}); });
}

void embedding_forward(benchmark::State& state) {
  Bench bench(state);
  const Tensor output = bench.compute({kTokens, kHidden}), sum = bench.compute({kTokens, kHidden}),
               mean = bench.tensor(DType::kFloat32, {kTokens});
  const EmbeddingForward op = {.input_ids = bench.ids(kTokens, kVocabulary),
                               .token_type_ids = bench.ids(kTokens, 2),
                               .position_ids = bench.ids(kTokens, 512),
                               .word = bench.compute({kVocabulary, kHidden}),
                               .position = bench.compute({512, kHidden}),
                               .token_type = bench.compute({2, kHidden}),
                               .weight = bench.compute({kHidden}),
                               .bias = bench.compute({kHidden}),
                               .dropout = bench.dropout(0.1f, kTokens),
                               .sum = sum,
                               .output = output,
                               .mean = mean,
                               .rstd = bench.tensor(DType::kFloat32, {kTokens})};
  bench.time({output, sum, output}, [&](Backend& backend) { backend.embedding_forward(op); });
}

void embedding_backward(benchmark::State& state) {
  Bench bench(state);
  const Tensor gradient = bench.compute({kTokens, kHidden}), sum = bench.compute({kTokens, kHidden}),
               mean = bench.tensor(DType::kFloat32, {kTokens});
  const auto table = [&](int64_t rows) { return bench.tensor(DType::kFloat32, {rows, kHidden}); };
  const Tensor scratch = bench.compute({kTokens, kHidden}), d_word = table(kVocabulary);
  const EmbeddingBackward op = {.gradient = gradient,
                                .sum = sum,
                                .mean = mean,
                                .rstd = mean,
                                .input_ids = bench.ids(kTokens, kVocabulary),
                                .token_type_ids = bench.ids(kTokens, 2),
                                .position_ids = bench.ids(kTokens, 512),
                                .weight = bench.compute({kHidden}),
                                .dropout = bench.dropout(0.1f, kTokens),
                                .scratch = scratch,
                                .d_word = d_word,
                                .d_position = table(512),
                                .d_token_type = table(2),
                                .d_weight = bench.tensor(DType::kFloat32, {kHidden}),
                                .d_bias = bench.tensor(DType::kFloat32, {kHidden})};
  // scratch is written once and read three times; two thirds of the tokens touch a row of fp32 of their own
  const Tensor touched = d_word.rows(0, 2 * kTokens / 3);
  bench.time({gradient, sum, scratch, scratch, scratch, scratch, touched, touched},
             [&](Backend& backend) { backend.embedding_backward(op); });
}

void layer_norm_forward(benchmark::State& state) {
  Bench bench(state);
  const Tensor input = bench.compute({kTokens, kHidden}), residual = bench.compute({kTokens, kHidden}),
               output = bench.compute({kTokens, kHidden});
  const LayerNormForward op = {.input = input,
                               .residual = residual,
                               .weight = bench.compute({kHidden}),
                               .bias = bench.compute({kHidden}),
                               .dropout = state.range(1) ? bench.dropout(0.1f, kTokens) : Dropout{},
                               .sum = input,
                               .output = output,
                               .mean = bench.tensor(DType::kFloat32, {kTokens}),
                               .rstd = bench.tensor(DType::kFloat32, {kTokens})};
  bench.time({input, residual, input, output}, [&](Backend& backend) { backend.layer_norm_forward(op); });
}

void layer_norm_backward(benchmark::State& state) {
  Bench bench(state);
  const Tensor gradient = bench.compute({kTokens, kHidden}), sum = bench.compute({kTokens, kHidden}),
               d_residual = bench.compute({kTokens, kHidden});
  const Tensor d_input = bench.compute({kTokens, kHidden}), mean = bench.tensor(DType::kFloat32, {kTokens});
  const LayerNormBackward op = {.gradient = gradient,
                                .sum = sum,
                                .mean = mean,
                                .rstd = mean,
                                .weight = bench.compute({kHidden}),
                                .dropout = state.range(1) ? bench.dropout(0.1f, kTokens) : Dropout{},
                                .d_input = d_input,
                                .d_residual = d_residual,
                                .d_weight = bench.tensor(DType::kFloat32, {kHidden}),
                                .d_bias = bench.tensor(DType::kFloat32, {kHidden})};
  bench.time({gradient, sum, d_input, d_residual}, [&](Backend& backend) { backend.layer_norm_backward(op); });
}

void dropout(benchmark::State& state) {
  Bench bench(state);
  const Tensor x = bench.compute({kTokens, kHidden}), y = bench.compute({kTokens, kHidden});
  const Dropout mask = bench.dropout(0.1f, kTokens);
  bench.time({x, y}, [&](Backend& backend) { backend.dropout({.input = x, .dropout = mask, .output = y}); });
}

void gather_rows(benchmark::State& state) {
  Bench bench(state);
  const Tensor input = bench.compute({kTokens, kHidden}), output = bench.compute({kTokens / 6, kHidden}),
               indices = bench.row_numbers(kTokens / 6, 6);
  bench.time({output, output}, [&](Backend& backend) { backend.gather_rows({.input = input, .indices = indices, .output = output}); });
}

void scatter_rows(benchmark::State& state) {
  Bench bench(state);
  const Tensor output = bench.compute({kTokens, kHidden}), input = bench.compute({kTokens / 6, kHidden}, 1e-6f),
               indices = bench.row_numbers(kTokens / 6, 6);
  bench.time({input, input, input},
             [&](Backend& backend) { backend.scatter_rows({.input = input, .indices = indices, .output = output}); });
}

void cross_entropy(benchmark::State& state) {
  Bench bench(state);
  const Tensor logits = bench.compute({kMasked, kVocabulary}), one = bench.tensor(DType::kFloat32, {1});
  const CrossEntropy op = {
      .logits = logits, .labels = bench.row_numbers(kMasked, 3), .state = bench.state(), .loss_sum = one, .correct = one};
  bench.time({logits, logits, logits}, [&](Backend& backend) { backend.cross_entropy(op); });
}

void column_sum(benchmark::State& state) {
  Bench bench(state);
  const Tensor input = bench.compute({kTokens, 4 * kHidden}), output = bench.tensor(DType::kFloat32, {4 * kHidden});
  bench.time({input}, [&](Backend& backend) { backend.column_sum({.input = input, .output = output}); });
}

void square_sums(benchmark::State& state) {
  Bench bench(state);
  const Tensor input = bench.tensor(DType::kFloat32, {kParameters}), output = bench.tensor(DType::kFloat64, {1});
  const Tensor all = bench.tensor(DType::kUInt8, {sizeof(Range)});
  *static_cast<Range*>(all.data()) = {0, kParameters};
  bench.time({input}, [&](Backend& backend) { backend.square_sums({.input = input, .ranges = all, .output = output}); });
}

void adam_step(benchmark::State& state) {
  Bench bench(state);
  const auto flat = [&] { return bench.tensor(DType::kFloat32, {kParameters}); };
  const Tensor gradient = flat(), m = flat(), v = flat(), master = flat(),
               value = bench.precision == DType::kFloat32 ? master : bench.compute({kParameters});
  const AdamStep op = {
      .gradient = gradient, .state = bench.state(), .weight_decay = 0.01f, .exp_avg = m, .exp_avg_sq = v, .master = master, .value = value};
  const Tensor value_moved = bench.precision == DType::kFloat32 ? Tensor{} : value;
  bench.time({gradient, m, v, master, m, v, master, value_moved}, [&](Backend& backend) { backend.adam_step({&op, 1}); });
}

void lamb_direction(benchmark::State& state) {
  Bench bench(state);
  const auto flat = [&] { return bench.tensor(DType::kFloat32, {kParameters}); };
  const Tensor gradient = flat(), m = flat(), v = flat(), master = flat();
  const LambDirection op = {.gradient = gradient, .state = bench.state(), .exp_avg = m, .exp_avg_sq = v, .master = master};
  bench.time({gradient, m, v, master, m, v, gradient}, [&](Backend& backend) { backend.lamb_direction({&op, 1}); });
}

void lamb_apply(benchmark::State& state) {
  Bench bench(state);
  const Tensor direction = bench.tensor(DType::kFloat32, {kParameters}), master = bench.tensor(DType::kFloat32, {kParameters});
  const Tensor value = bench.precision == DType::kFloat32 ? master : bench.compute({kParameters});
  const LambApply op = {
      .direction = direction, .state = bench.state(), .trust_ratio = bench.tensor(DType::kFloat32, {1}), .master = master, .value = value};
  const Tensor value_moved = bench.precision == DType::kFloat32 ? Tensor{} : value;
  bench.time({direction, master, master, value_moved}, [&](Backend& backend) { backend.lamb_apply({&op, 1}); });
}

void add(benchmark::State& state) {
  Bench bench(state);
  const Tensor a = bench.tensor(DType::kFloat32, {kParameters}), b = bench.tensor(DType::kFloat32, {kParameters}, 0);
  bench.time({a, b, a}, [&](Backend& backend) { backend.add({.a = a, .b = b, .c = a}); });
}

void cast(benchmark::State& state) {  // to the precision from the other one
  Bench bench(state);
  const Tensor input = bench.tensor(state.range(0) ? DType::kFloat32 : DType::kBFloat16, {kParameters}),
               output = bench.compute({kParameters});
  bench.time({input, output}, [&](Backend& backend) { backend.cast({.input = input, .output = output}); });
}

#define MPIBERT_EACH_PRECISION(operation) BENCHMARK(operation)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond)
MPIBERT_EACH_PRECISION(copy);
MPIBERT_EACH_PRECISION(activation_backward);
MPIBERT_EACH_PRECISION(embedding_forward);
MPIBERT_EACH_PRECISION(embedding_backward);
BENCHMARK(layer_norm_forward)->ArgsProduct({{0, 1}, {0, 1}})->ArgNames({"bf16", "dropout"})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(layer_norm_backward)->ArgsProduct({{0, 1}, {0, 1}})->ArgNames({"bf16", "dropout"})->UseRealTime()->Unit(benchmark::kMillisecond);
MPIBERT_EACH_PRECISION(dropout);
MPIBERT_EACH_PRECISION(gather_rows);
MPIBERT_EACH_PRECISION(scatter_rows);
MPIBERT_EACH_PRECISION(cross_entropy);
MPIBERT_EACH_PRECISION(column_sum);
BENCHMARK(square_sums)->Arg(0)->UseRealTime()->Unit(benchmark::kMillisecond);
MPIBERT_EACH_PRECISION(adam_step);
BENCHMARK(lamb_direction)->Arg(0)->UseRealTime()->Unit(benchmark::kMillisecond);
MPIBERT_EACH_PRECISION(lamb_apply);
BENCHMARK(add)->Arg(0)->UseRealTime()->Unit(benchmark::kMillisecond);
MPIBERT_EACH_PRECISION(cast);

}  // namespace
}  // namespace mpibert

BENCHMARK_MAIN();
