// GFLOP/s of the matrix products of a training step and of attention. Each product runs in turn with one plain call of the library, which
// uses its own threads: the counter `ratio` is our speed over the library's, whose epilogue is free (it does none). CPU_GFLOPs and
// CPU_ratio count the time of all threads: they mean something on a busy machine too.
//   OMP_NUM_THREADS=2 ops_benchmark --benchmark_filter=base/

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <dnnl.hpp>
#include <random>

#include "mpibert/ops/backend.h"
#include "ops/cpu/attention.h"
#include "ops/cpu/matmul.h"
#include "tests/support/matmul_cases.h"

namespace mpibert {
namespace {

class Memory {
 public:
  Tensor make(DType dtype, Shape shape) {
    auto& bytes = memory_.emplace_back(static_cast<size_t>(shape.size()) * bytes_of(dtype) + 64);
    void* start = bytes.data();
    size_t space = bytes.size();
    std::align(64, space - 63, start, space);
    const Tensor t(start, dtype, shape);
    std::minstd_rand random(7);
    std::uniform_real_distribution<float> uniform(-1, 1);
    if (dtype == DType::kFloat32) std::ranges::generate(t.span<float>(), [&] { return uniform(random); });
    if (dtype == DType::kBFloat16) std::ranges::generate(t.span<bfloat16>(), [&] { return bfloat16(uniform(random)); });
    return t;
  }

 private:
  std::vector<std::vector<std::byte>> memory_;
};

// The operands of a case.
Matmul operands(const MatmulCase& c, DType compute, Memory& memory) {
  Matmul op{.a = memory.make(compute, c.transpose_a ? Shape{c.k, c.m} : Shape{c.m, c.k}),
            .b = memory.make(compute, c.transpose_b ? Shape{c.n, c.k} : Shape{c.k, c.n}),
            .transpose_a = c.transpose_a,
            .transpose_b = c.transpose_b,
            .alpha = c.alpha,
            .beta = c.beta,
            .activation = c.activation,
            .c = memory.make(c.float_output ? DType::kFloat32 : compute, {c.m, c.n})};
  if (c.bias) op.bias = memory.make(compute, {c.n});
  if (c.activation != Activation::kNone) (c.derivative ? op.derivative_at : op.activated) = memory.make(compute, {c.m, c.n});
  return op;
}

// The same product as one primitive of the library, as it would be used without this program.
class LibraryCall {
 public:
  explicit LibraryCall(const Matmul& op) {
    const auto type = [](const Tensor& t) {
      return t.dtype() == DType::kFloat32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
    };
    const int64_t m = op.c.shape()[0], n = op.c.shape()[1], k = op.a.shape()[op.transpose_a ? 0 : 1];
    const auto strides = [](bool transposed, int64_t rows, int64_t columns) {
      return transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1};
    };
    const dnnl::memory::desc a({m, k}, type(op.a), strides(op.transpose_a, m, k)), b({k, n}, type(op.b), strides(op.transpose_b, k, n));
    const dnnl::memory::desc c({m, n}, type(op.c), strides(false, m, n)), bias({1, n}, type(op.a), strides(false, 1, n));
    dnnl::primitive_attr attributes;
    if (op.beta != 0) {
      dnnl::post_ops sum;
      sum.append_sum(op.beta);
      attributes.set_post_ops(sum);
    }
    primitive_ = op.bias ? dnnl::matmul({dnnl::matmul::desc(a, b, bias, c), attributes, engine_})
                         : dnnl::matmul({dnnl::matmul::desc(a, b, c), attributes, engine_});
    arguments_ = {{DNNL_ARG_SRC, {a, engine_, op.a.data()}},
                  {DNNL_ARG_WEIGHTS, {b, engine_, op.b.data()}},
                  {DNNL_ARG_DST, {c, engine_, op.c.data()}}};
    if (op.bias) arguments_[DNNL_ARG_BIAS] = {bias, engine_, op.bias.data()};
  }
  void run() { primitive_.execute(stream_, arguments_); }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

struct Seconds {
  double wall, cpu;
};
template <class F>
Seconds time(F f) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  f();
  const double cpu_seconds = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu_seconds};
}
double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<int64_t>(values.size() / 2));
  return values[values.size() / 2];
}

void product(benchmark::State& state, const MatmulCase& c, DType compute) {
  Memory memory;
  const Matmul op = operands(c, compute, memory);
  cpu::MatmulEngine engine;
  LibraryCall library(op);
  engine.matmul(op);
  library.run();
  std::vector<double> ours, theirs;
  double cpu = 0, library_cpu = 0;
  for (auto _ : state) {
    const Seconds mine = time([&] { engine.matmul(op); });
    const Seconds its = time([&] { library.run(); });
    theirs.push_back(its.wall);
    library_cpu += its.cpu;
    ours.push_back(mine.wall);
    cpu += mine.cpu;
    state.SetIterationTime(mine.wall);
  }
  const double gflop = 2e-9 * static_cast<double>(c.m) * static_cast<double>(c.n) * static_cast<double>(c.k);
  state.counters["GFLOPs"] = gflop / median(ours);
  state.counters["library_GFLOPs"] = gflop / median(theirs);
  state.counters["ratio"] = median(theirs) / median(ours);
  state.counters["CPU_GFLOPs"] = gflop * static_cast<double>(ours.size()) / std::max(cpu, 1e-9);
  state.counters["CPU_ratio"] = library_cpu / std::max(cpu, 1e-9);
}

// A layer's products with another T each time, as batches have it: what new shapes cost.
void varying_tokens(benchmark::State& state, int64_t hidden, DType compute) {
  cpu::MatmulEngine engine;
  std::minstd_rand random(5);
  std::vector<int64_t> created;
  double gflop = 0, seconds = 0;
  for (auto _ : state) {
    const auto tokens = static_cast<int64_t>(1500 + random() % 549);
    double step = 0;
    for (const MatmulCase& c : matmul_layer_cases("", tokens, hidden)) {
      Memory memory;
      const Matmul op = operands(c, compute, memory);
      step += time([&] { engine.matmul(op); }).wall;
      gflop += 2e-9 * static_cast<double>(c.m) * static_cast<double>(c.n) * static_cast<double>(c.k);
    }
    seconds += step;
    created.push_back(engine.primitives_created());
    state.SetIterationTime(step);
  }
  state.counters["GFLOPs"] = gflop / seconds;
  state.counters["primitives_first"] = static_cast<double>(created.front());
  state.counters["primitives_half"] = static_cast<double>(created[created.size() / 2]);
  state.counters["primitives_all"] = static_cast<double>(created.back());
}

// Forward counts 4 A D s^2 operations a sequence, backward 10 (five products).
void attention(benchmark::State& state, DType compute, int64_t length, int64_t heads, int64_t head_size, float rate, bool backward) {
  Memory memory;
  const int64_t sequences = std::max<int64_t>(1, 2048 / length), tokens = sequences * length;
  std::vector<int32_t> bounds, keys(static_cast<size_t>(tokens));
  for (int64_t b = 0; b <= sequences; ++b) bounds.push_back(static_cast<int32_t>(b * length));
  for (size_t t = 0; t < keys.size(); ++t) keys[t] = static_cast<int32_t>(t);
  StepState step;
  const Dropout dropout{.rate = rate,
                        .site = 1,
                        .state = Tensor(&step, DType::kUInt8, {kStepStateBytes}),
                        .token_keys = host_tensor(std::span(keys), {tokens})};
  const Tensor cu_seqlens = host_tensor(std::span(bounds), {sequences + 1}), qkv = memory.make(compute, {tokens, 3, heads, head_size});
  const Tensor context = memory.make(compute, {tokens, heads, head_size}), gradient = memory.make(compute, {tokens, heads, head_size}),
               d_qkv = memory.make(compute, {tokens, 3, heads, head_size});
  const Tensor saved = memory.make(DType::kUInt8, {static_cast<int64_t>(cpu::attention_saved_bytes(tokens, heads, head_size, length))});
  cpu::AttentionEngine engine;
  const AttentionForward forward{
      .qkv = qkv, .cu_seqlens = cu_seqlens, .max_seq_length = length, .dropout = dropout, .context = context, .saved = saved};
  engine.forward(forward);
  std::vector<double> seconds;
  double cpu = 0;
  for (auto _ : state) {
    const Seconds mine = time([&] {
      if (!backward) return engine.forward(forward);
      engine.backward({.gradient = gradient,
                       .qkv = qkv,
                       .context = context,
                       .cu_seqlens = cu_seqlens,
                       .saved = saved,
                       .max_seq_length = length,
                       .dropout = dropout,
                       .d_qkv = d_qkv});
    });
    seconds.push_back(mine.wall);
    cpu += mine.cpu;
    state.SetIterationTime(mine.wall);
  }
  const double gflop = (backward ? 10e-9 : 4e-9) * static_cast<double>(tokens * length * heads * head_size);
  state.counters["GFLOPs"] = gflop / median(seconds);
  state.counters["CPU_GFLOPs"] = gflop * static_cast<double>(seconds.size()) / std::max(cpu, 1e-9);
}

void register_all() {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    const std::string precision = "/" + std::string(name_of(compute));
    std::vector<MatmulCase> cases;
    for (const auto& [model, tokens, hidden] :
         {std::tuple{"base", 2048, 768}, {"MiniLM", 1999, 384}, {"MiniLM_small", 500, 384}, {"H128", 1230, 128}})
      for (MatmulCase& c : matmul_layer_cases(model, tokens, hidden)) cases.push_back(c);
    cases.push_back({"H128/decoder_forward", 185, 30522, 128, false, true, 1, 0, true});
    cases.push_back({"H128/decoder_data_gradient", 185, 128, 30522});
    cases.push_back({"H128/decoder_weight_gradient", 30522, 128, 185, true, false, 1, 1, false, Activation::kNone, false, true});
    cases.push_back({"base/decoder_forward", 307, 30522, 768, false, true, 1, 0, true});
    cases.push_back({"base/decoder_data_gradient", 307, 768, 30522});
    cases.push_back({"base/decoder_weight_gradient", 30522, 768, 307, true, false, 1, 1, false, Activation::kNone, false, true});
    for (const MatmulCase& c : cases)
      benchmark::RegisterBenchmark((c.name + precision).c_str(), product, c, compute)->UseManualTime()->Unit(benchmark::kMicrosecond);
    for (const int64_t hidden : {128, 768})
      benchmark::RegisterBenchmark(("varying_tokens/H" + std::to_string(hidden) + precision).c_str(), varying_tokens, hidden, compute)
          ->UseManualTime()
          ->Iterations(hidden == 128 ? 60 : 8)
          ->Unit(benchmark::kMicrosecond);
    for (const int64_t length : {32, 128, 512})
      for (const float rate : {0.0f, 0.1f})
        for (const bool backward : {false, true})
          for (const int64_t head_size : {32, 64})
            benchmark::RegisterBenchmark(("attention_" + std::string(backward ? "backward" : "forward") + "/S" + std::to_string(length) +
                                          "/D" + std::to_string(head_size) + (rate > 0 ? "/dropout" : "") + precision)
                                             .c_str(),
                                         attention, compute, length, 12, head_size, rate, backward)
                ->UseManualTime()
                ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace
}  // namespace mpibert

int main(int argc, char** argv) {
  mpibert::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
