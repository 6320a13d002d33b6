#include "ops/cuda/matmul.h"

#include <map>
#include <utility>

#include "mpibert/base/error.h"
#include "ops/cuda/matmul_ways.h"

namespace mpibert::cuda {
namespace {

constexpr size_t kMostPlans = 4096;  // T differs from batch to batch

}  // namespace

struct MatmulEngine::Impl {
  Impl(const Context& context_, bool tf32_) : context(context_), tf32(tf32_), workspace(context_.stream) { MPIBERT_CUBLAS_CHECK(cublasLtCreate(library.out())); }

  struct Entry {
    std::unique_ptr<MatmulPlan> plan;
    std::optional<cublasLtMatmulAlgo_t> algorithm;  // none: the library cannot do it
  };

  const Context& context;
  bool tf32;
  CublasLibrary library;
  Workspace workspace;
  std::map<MatmulKind, Entry> entries;

  Entry& entry_of(const MatmulKind& kind, const MatmulOperands& operands);
  bool run(const Matmul& op, const MatmulWay& way);
  Matmul multiply(const Matmul& op);
};

// The plan of a kind, pointed at the operands.
MatmulEngine::Impl::Entry& MatmulEngine::Impl::entry_of(const MatmulKind& kind, const MatmulOperands& operands) {
  if (const auto found = entries.find(kind); found != entries.end()) {
    found->second.plan->point(operands);
    return found->second;
  }
  if (entries.size() >= kMostPlans) entries.clear();
  Entry made{.plan = std::make_unique<MatmulPlan>(library.get(), kind), .algorithm = {}};
  made.plan->point(operands);
  made.algorithm = made.plan->first_algorithm();
  return entries.emplace(kind, std::move(made)).first->second;
}

// False: the library cannot do it this way, and has done nothing.
bool MatmulEngine::Impl::run(const Matmul& op, const MatmulWay& way) {
  float* scratch = way.workspace_floats > 0 ? context.workspace.get<float>(way.workspace_floats) : nullptr;
  MatmulOperands operands = way.operands;
  float* products = operands.d ? nullptr : scratch;
  float* sums = products ? nullptr : scratch;
  if (products) operands.d = products;
  if (sums) operands.vector = sums;
  const Entry& entry = entry_of(way.kind, operands);
  if (!entry.algorithm) return false;
  entry.plan->run(operands, op.alpha, way.beta, *entry.algorithm, workspace.get<std::byte>(static_cast<int64_t>(kMatmulWorkspaceBytes)), context.stream);
  matmul_epilogue(way.rest, products, context);
  if (sums) add_row_sums(sums, op.row_sums, context);
  return true;
}

// Returns what is left to do.
Matmul MatmulEngine::Impl::multiply(const Matmul& op) {
  for (const MatmulWay& way : ways_of(op, tf32))
    if (run(op, way)) return way.rest;
  throw Error(ErrorKind::kDevice, str_cat("cuBLASLt has no algorithm for a product of ", op.a.shape().text(), op.transpose_a ? " transposed" : "", " and ", op.b.shape().text(),
                                          op.transpose_b ? " transposed" : "", " in ", name_of(op.a.dtype())));
}

MatmulEngine::MatmulEngine(const Context& context, bool tf32) : impl_(std::make_unique<Impl>(context, tf32)) {}
MatmulEngine::~MatmulEngine() = default;

void MatmulEngine::matmul(const Matmul& op) {
  Matmul rest = op;
  const int64_t k = op.a.shape()[op.transpose_a ? 0 : 1];
  if (op.c.size() > 0 && k > 0) {
    rest = impl_->multiply(op);
  } else if (op.c.size() > 0) {  // a sum of no terms
    if (op.beta == 0) MPIBERT_CUDA_CHECK(cudaMemsetAsync(op.c.data(), 0, op.c.bytes(), impl_->context.stream));
    MPIBERT_CHECK(op.beta == 0 || op.beta == 1, kInvalidArgument, "a product over no terms can keep c or clear it on CUDA: expected beta 0 or 1, found ", op.beta);
    matmul_epilogue(op, nullptr, impl_->context);
  }
  if (rest.row_sums) column_sum({.input = op.a, .output = rest.row_sums}, impl_->context);
}

}  // namespace mpibert::cuda
