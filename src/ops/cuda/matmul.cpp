#include "ops/cuda/matmul.h"

#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "mpibert/base/error.h"
#include "ops/cuda/matmul_measurement.h"
#include "ops/cuda/matmul_ways.h"

namespace mpibert::cuda {
namespace {

constexpr size_t kMostPlans = 4096;  // T differs from batch to batch

bool has_terms(const Matmul& op) { return op.c.size() > 0 && op.a.size() > 0; }

std::string platform_of(int device, int multiprocessors) {
  cudaDeviceProp properties{};
  int major = 0, minor = 0;
  MPIBERT_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  const size_t version = cublasLtGetVersion();
  std::string text = str_cat(properties.name, "-sm", major, minor, "-", multiprocessors, "mp-cublaslt-", version / 10000, ".",
                             version / 100 % 100, ".", version % 100);
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.') c = '-';
  return text;
}

}  // namespace

struct MatmulEngine::Impl {
  Impl(const Context& context_, int device, bool tf32_)
      : context(context_),
        tf32(tf32_),
        workspace(context_.stream),
        table{.platform = platform_of(device, context_.multiprocessors), .choices = {}} {
    MPIBERT_CUBLAS_CHECK(cublasLtCreate(library.out()));
  }

  struct Entry {
    std::unique_ptr<MatmulPlan> plan;
    std::optional<cublasLtMatmulAlgo_t> algorithm;  // none: the library cannot do it, or is better not asked to
  };

  const Context& context;
  bool tf32;
  CublasLibrary library;
  Workspace workspace;
  MatmulTable table;
  std::map<MatmulKind, Entry> entries;

  void* library_workspace() { return workspace.get<std::byte>(static_cast<int64_t>(kMatmulWorkspaceBytes)); }
  const Entry& entry_of(const MatmulKind& kind, const MatmulOperands& operands);
  std::optional<cublasLtMatmulAlgo_t> algorithm_for(const MatmulKind& kind, const MatmulPlan& plan) const;
  bool run(const MatmulWay& way, float alpha);
  void multiply(const Matmul& op);
  bool measure(const MatmulKind& kind, MatmulMeasurement& measurement);
};

std::optional<cublasLtMatmulAlgo_t> MatmulEngine::Impl::algorithm_for(const MatmulKind& kind, const MatmulPlan& plan) const {
  if (const auto found = table.choices.find(class_of(kind)); found != table.choices.end()) {
    const MatmulChoice& choice = found->second;
    if (choice.declined) return {};
    if (choice.algorithm)
      if (const auto chosen = plan.rebuilt(*choice.algorithm)) return chosen;
  }
  const std::vector<cublasLtMatmulAlgo_t> first = plan.suggestions(1);
  return first.empty() ? std::nullopt : std::optional(first.front());
}

// The plan of a kind, pointed at the operands.
const MatmulEngine::Impl::Entry& MatmulEngine::Impl::entry_of(const MatmulKind& kind, const MatmulOperands& operands) {
  if (const auto found = entries.find(kind); found != entries.end()) {
    found->second.plan->point(operands);
    return found->second;
  }
  if (entries.size() >= kMostPlans) entries.clear();
  Entry made{.plan = std::make_unique<MatmulPlan>(library.get(), kind), .algorithm = {}};
  made.plan->point(operands);
  made.algorithm = algorithm_for(kind, *made.plan);
  return entries.emplace(kind, std::move(made)).first->second;
}

// False: the library cannot do it this way, and has done nothing.
bool MatmulEngine::Impl::run(const MatmulWay& way, float alpha) {
  const PlacedWay place = placed(way, context.workspace);
  const Entry& entry = entry_of(way.kind, place.operands);
  if (!entry.algorithm) return false;
  MPIBERT_CUBLAS_CHECK(entry.plan->run(place.operands, alpha, way.beta, *entry.algorithm, library_workspace(), context.stream));
  finish(way, place, context);
  return true;
}

void MatmulEngine::Impl::multiply(const Matmul& op) {
  for (const MatmulWay& way : ways_of(op, tf32))
    if (run(way, op.alpha)) return;
  throw Error(ErrorKind::kDevice,
              str_cat("cuBLASLt has no algorithm for a product of ", op.a.shape().text(), op.transpose_a ? " transposed" : "", " and ",
                      op.b.shape().text(), op.transpose_b ? " transposed" : "", " in ", name_of(op.a.dtype())));
}

// True: the table has the kind now, and had not.
bool MatmulEngine::Impl::measure(const MatmulKind& kind, MatmulMeasurement& measurement) {
  if (table.choices.contains(class_of(kind))) return false;
  const std::optional<MatmulChoice> choice = measurement.choose(kind);
  if (choice) table.choices[class_of(kind)] = *choice;
  return choice.has_value();
}

MatmulEngine::MatmulEngine(const Context& context, int device, bool tf32) : impl_(std::make_unique<Impl>(context, device, tf32)) {}
MatmulEngine::~MatmulEngine() = default;

void MatmulEngine::matmul(const Matmul& op) {
  if (has_terms(op)) return impl_->multiply(op);
  const Context& context = impl_->context;
  if (op.c.size() > 0) {  // sums of no terms
    if (op.beta == 0) MPIBERT_CUDA_CHECK(cudaMemsetAsync(op.c.data(), 0, op.c.bytes(), context.stream));
    MPIBERT_CHECK(op.beta == 0 || op.beta == 1, kInvalidArgument,
                  "a product over no terms can keep c or clear it on CUDA: expected beta 0 or 1, found ", op.beta);
    matmul_epilogue(op, nullptr, context);
  }
  if (op.row_sums) column_sum({.input = op.a, .output = op.row_sums}, context);
}

std::string MatmulEngine::platform() const { return impl_->table.platform; }
std::string MatmulEngine::table() const { return impl_->table.to_json(); }

void MatmulEngine::use(const std::string& table) {
  MatmulTable taken = MatmulTable::from_json(table);
  MPIBERT_CHECK(taken.platform == platform(), kInvalidArgument, "algorithms of matrix products were measured on ", taken.platform,
                ", but this is ", platform());
  impl_->table = std::move(taken);
  impl_->entries.clear();
}

int64_t MatmulEngine::measure(std::span<const Matmul> products) {
  MatmulMeasurement measurement(impl_->context, impl_->library.get(), impl_->library_workspace());
  auto& choices = impl_->table.choices;
  std::set<MatmulKind> seen;
  int64_t measured = 0;
  for (const Matmul& product : products) {
    if (!has_terms(product)) continue;
    const std::vector<MatmulWay> ways = ways_of(product, impl_->tf32);
    if (!seen.insert(ways.front().kind).second) continue;
    bool fused_is_new = false;
    for (const MatmulWay& way : ways) {
      if (!impl_->measure(way.kind, measurement)) continue;
      ++measured;
      fused_is_new |= ways.size() > 1 && &way == &ways.front();
    }
    if (!fused_is_new) continue;
    const auto microseconds = [&](const MatmulWay& way) {
      return choices.at(class_of(way.kind)).microseconds + measurement.microseconds_of_finish(way);
    };
    choices.at(class_of(ways.front().kind)).declined = microseconds(ways.front()) > microseconds(ways.back());
  }
  if (measured > 0) impl_->entries.clear();
  return measured;
}

std::string MatmulEngine::algorithm_of(const Matmul& product) {
  if (!has_terms(product)) return "none: a sum of no terms";
  for (const MatmulWay& way : ways_of(product, impl_->tf32)) {
    const Impl::Entry& entry = impl_->entry_of(way.kind, placed(way, impl_->context.workspace).operands);
    if (!entry.algorithm) continue;
    const std::optional<MatmulAlgorithm> found = cuda::algorithm_of(*entry.algorithm);
    return found ? text_of(*found) : "the library's first choice, which it does not describe";
  }
  return "none: the library cannot do it";
}

}  // namespace mpibert::cuda
