#include "ops/cpu/matmul.h"

#include <algorithm>
#include <dnnl.hpp>
#include <vector>

#include "mpibert/base/error.h"
#include "ops/cpu/hold_signals.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/matmul_bfloat16.h"
#include "ops/cpu/matmul_kernels.h"
#include "ops/cpu/work_items.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {
namespace {

struct Dims {
  int64_t m, n, k;
};

Dims dims_of(const Matmul& op) { return {op.c.shape()[0], op.c.shape()[1], op.a.shape()[op.transpose_a ? 0 : 1]}; }

constexpr int64_t count_of(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

// How fp32 products are cut. Sixteen blocks keep up to 16 threads busy; below some 4 million multiplications a block is not worth a call.
struct Blocks {
  int64_t rows, columns;
};
Blocks float_blocks(const Dims& d, bool b_stays_transposed) {
  constexpr int64_t kWanted = 16, kSmallest = int64_t{1} << 22;
  // A transposed b is copied once a block, so blocks have all rows as long as these are few.
  Blocks blocks{b_stays_transposed ? std::max<int64_t>(256, std::min<int64_t>(d.m, 320)) : 128, 768};
  const auto enough = [&] { return count_of(d.m, blocks.rows) * count_of(d.n, blocks.columns) >= kWanted; };
  const auto worth = [&](int64_t rows, int64_t columns) { return std::min(rows, d.m) * std::min(columns, d.n) * d.k >= kSmallest; };
  while (!enough()) {
    if (!b_stays_transposed && blocks.rows > 64 && worth(blocks.rows / 2, blocks.columns)) blocks.rows /= 2;
    else if (blocks.columns > 96 && worth(blocks.rows, blocks.columns / 2)) blocks.columns /= 2;
    else break;
  }
  return blocks;
}

// Where the processor multiplies bf16 faster than fp32: with AMX, and AMD's with AVX512-BF16. Intel's others have that instruction at half
// the rate of fp32's (Emerald Rapids: 84 GFLOP/s a core, 165 in fp32). A property of the processor, never a timing: it decides the bits.
bool native_bfloat16_is_faster() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_amx || (isa == dnnl::cpu_isa::avx512_core_bf16 && __builtin_cpu_is("amd"));
}

}  // namespace

struct MatmulEngine::Impl {
  explicit Impl(bool native) : native_bfloat16(native) {}

  bool native_bfloat16;
  Bfloat16Matmul bfloat16_products;
  Workspace a_as_float, b_as_float, a_transposed, b_panels, partial_sums;
  std::vector<Workspace> products;  // one a thread

  void multiply(const Matmul& op);
  void multiply_float(const Matmul& op);
  void multiply_nothing(const Matmul& op);
  const float* as_float(const Tensor& t, Workspace& workspace);
  const float* transposed_a(const float* a, const Dims& d);
  const float* panels_of_b(const float* b, bool transposed, const Dims& d, int64_t columns);
};

void MatmulEngine::Impl::multiply(const Matmul& op) {
  const Dims d = dims_of(op);
  if (d.m == 0 || d.n == 0) return;
  if (d.k == 0) return multiply_nothing(op);
  if (op.a.dtype() == DType::kBFloat16 && native_bfloat16) return bfloat16_products.multiply(op);
  multiply_float(op);
}

// A sum of no products: what is left is beta c + bias and the epilogue.
void MatmulEngine::Impl::multiply_nothing(const Matmul& op) {
  const Dims d = dims_of(op);
  const std::vector<float> zeros(static_cast<size_t>(d.n));
  for (int64_t row = 0; row < d.m; ++row) finish_block(op, {row, 1, 0, d.n}, zeros.data());
}

const float* MatmulEngine::Impl::as_float(const Tensor& t, Workspace& workspace) {
  if (t.dtype() == DType::kFloat32) return static_cast<const float*>(t.data());
  constexpr int64_t kPart = 1 << 16;
  float* wide = workspace.get<float>(t.size());
  parallel_items(count_of(t.size(), kPart), [&](int64_t part, int) {
    const int64_t begin = part * kPart;
    widen(static_cast<const bfloat16*>(t.data()) + begin, std::min(kPart, t.size() - begin), wide + begin);
  });
  return wide;
}

// a [k, m] as [m, k].
const float* MatmulEngine::Impl::transposed_a(const float* a, const Dims& d) {
  constexpr int64_t kPart = 64;
  float* rows = a_transposed.get<float>(d.m * d.k);
  parallel_items(count_of(d.k, kPart), [&](int64_t part, int) {
    const int64_t begin = part * kPart;
    transpose(a + begin * d.m, d.m, std::min(kPart, d.k - begin), d.m, rows + begin, d.k);
  });
  return rows;
}

// b as panels of so many columns, [k, width] each, one behind the other: rows of a wide matrix are pages apart, those of a panel are
// neighbours.
const float* MatmulEngine::Impl::panels_of_b(const float* b, bool transposed, const Dims& d, int64_t columns) {
  constexpr int64_t kPart = 64;
  float* panels = b_panels.get<float>(d.n * d.k);
  const int64_t parts = count_of(transposed ? columns : d.k, kPart);
  parallel_items(count_of(d.n, columns) * parts, [&](int64_t item, int) {
    const int64_t column = item / parts * columns, width = std::min(columns, d.n - column), begin = item % parts * kPart;
    float* panel = panels + column * d.k;
    if (transposed && begin < width) transpose(b + (column + begin) * d.k, d.k, std::min(kPart, width - begin), d.k, panel + begin, width);
    for (int64_t row = begin; !transposed && row < std::min(begin + kPart, d.k); ++row)
      std::copy_n(b + row * d.n + column, width, panel + row * width);
  });
  return panels;
}

void MatmulEngine::Impl::multiply_float(const Matmul& op) {
  const Dims d = dims_of(op);
  products.resize(std::max(products.size(), static_cast<size_t>(omp_get_max_threads())));
  const float* a = as_float(op.a, a_as_float);
  const float* b = as_float(op.b, b_as_float);
  // The library copies what it reads with a stride for every block. Copied once, here, is less when many blocks read it and the copy is of
  // moderate size.
  constexpr int64_t kManyRows = 384, kWide = 768, kFewElements = int64_t{1} << 22, kElements = int64_t{1} << 23;
  const bool is_wide = d.m > kWide || d.n > kWide;
  const bool packs_b = d.m >= kManyRows && (op.transpose_b ? d.n * d.k <= kFewElements : d.n > kWide && d.n * d.k <= kElements);
  const bool turns_a = op.transpose_a && is_wide && d.n >= kManyRows && d.m * d.k <= kElements;
  const Blocks blocks = float_blocks(d, op.transpose_b && !packs_b);
  if (packs_b) b = panels_of_b(b, op.transpose_b, d, blocks.columns);
  if (turns_a) a = transposed_a(a, d);
  const bool transpose_a = op.transpose_a && !turns_a, transpose_b = op.transpose_b && !packs_b;
  const bool in_place = op.a.dtype() == DType::kFloat32;
  const bool finish = !in_place || op.bias || op.activation != Activation::kNone;
  const int64_t lda = transpose_a ? d.m : d.k;
  const int64_t across = count_of(d.n, blocks.columns);
  parallel_items(count_of(d.m, blocks.rows) * across, [&](int64_t item, int thread) {
    MatmulBlock block{.row = item / across * blocks.rows, .column = item % across * blocks.columns};
    block.rows = std::min(blocks.rows, d.m - block.row);
    block.columns = std::min(blocks.columns, d.n - block.column);
    const int64_t ldb = packs_b ? block.columns : transpose_b ? d.k : d.n;
    const int64_t b_offset = packs_b || transpose_b ? block.column * d.k : block.column;
    float* block_products = in_place ? nullptr : products[static_cast<size_t>(thread)].get<float>(block.rows * block.columns);
    float* c = in_place ? static_cast<float*>(op.c.data()) + block.row * d.n + block.column : block_products;
    const dnnl_status_t status = [&] {
      const HoldSignals held;
      return dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', block.rows, block.columns, d.k, in_place ? op.alpha : 1.0f,
                        a + (transpose_a ? block.row : block.row * lda), lda, b + b_offset, ldb, in_place ? op.beta : 0.0f, c,
                        in_place ? d.n : block.columns);
    }();
    dnnl::error::wrap_c_api(status, "a matrix product failed");
    if (finish) finish_block(op, block, block_products);
  });
}

MatmulEngine::MatmulEngine() : MatmulEngine(native_bfloat16_is_faster()) {}
MatmulEngine::MatmulEngine(bool native_bfloat16) : impl_(std::make_unique<Impl>(native_bfloat16)) {}
MatmulEngine::~MatmulEngine() = default;

void MatmulEngine::matmul(const Matmul& op) {
  try {
    impl_->multiply(op);
    if (op.row_sums) column_sum({.input = op.a, .output = op.row_sums}, impl_->partial_sums);
  } catch (const dnnl::error& error) {
    throw Error(ErrorKind::kDevice, str_cat("oneDNN: ", error.what(), " (status ", error.status, ") in a product of ", op.a.shape().text(),
                                            " and ", op.b.shape().text()));
  }
}

int64_t MatmulEngine::primitives_created() const { return impl_->bfloat16_products.primitives_created(); }

}  // namespace mpibert::cpu
