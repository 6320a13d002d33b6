#include "ops/cpu/matmul_primitives.h"

#include "mpibert/base/error.h"
#include "ops/cpu/work_items.h"

namespace mpibert::cpu {
namespace {

using dnnl::memory;
constexpr auto kBf16 = memory::data_type::bf16;

memory::desc plain_b(int64_t n, int64_t k, bool transpose_b) {
  return {{k, n}, kBf16, transpose_b ? memory::dims{1, k} : memory::dims{n, 1}};
}

dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const ProductShape& shape, const memory::desc& b) {
  const memory::desc a({shape.m, shape.k}, kBf16, memory::dims{shape.k, 1});
  const memory::desc c({shape.m, shape.n}, shape.c_is_float ? memory::data_type::f32 : kBf16, memory::dims{shape.n, 1});
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // the library's own belongs to the thread that made the primitive
  if (shape.beta != 0) {
    dnnl::post_ops after;
    after.append_sum(shape.beta);
    attributes.set_post_ops(after);
  }
  if (!shape.bias) return {dnnl::matmul::desc(a, b, c), attributes, engine};
  const memory::desc bias({1, shape.n}, kBf16, memory::dims{shape.n, 1});
  return {dnnl::matmul::desc(a, b, bias, c), attributes, engine};
}

}  // namespace

std::shared_ptr<const Product> MatmulPrimitives::product(const ProductShape& shape) {
  const std::lock_guard lock(mutex_);
  if (const auto found = products_.find(shape); found != products_.end()) return found->second;
  if (products_.size() >= kCapacity) products_.clear();
  const memory::desc b =
      shape.packed ? find_layout(shape.n, shape.k, shape.transpose_b)->packed : plain_b(shape.n, shape.k, shape.transpose_b);
  const OneThread one_thread;
  const auto plan = describe(engine_, shape, b);
  ++created_;
  return products_[shape] = std::make_shared<const Product>(
             Product{dnnl::matmul(plan), plan.src_desc(), plan.weights_desc(), plan.dst_desc(), plan.bias_desc(), plan.scratchpad_desc()});
}

std::shared_ptr<const PackedLayout> MatmulPrimitives::layout(int64_t n, int64_t k, bool transpose_b) {
  const std::lock_guard lock(mutex_);
  return find_layout(n, k, transpose_b);
}

int64_t MatmulPrimitives::created() const {
  const std::lock_guard lock(mutex_);
  return created_;
}

std::shared_ptr<const PackedLayout> MatmulPrimitives::find_layout(int64_t n, int64_t k, bool transpose_b) {
  const ProductShape shape{.m = 128, .n = n, .k = k, .transpose_b = transpose_b, .c_is_float = true};
  if (const auto found = layouts_.find(shape); found != layouts_.end()) return found->second;
  if (layouts_.size() >= kCapacity) layouts_.clear();
  PackedLayout layout{.plain = plain_b(n, k, transpose_b), .packed = {}, .reorder = {}};
  {
    const OneThread one_thread;
    layout.packed = describe(engine_, shape, memory::desc({k, n}, kBf16, memory::format_tag::any)).weights_desc();
  }
  if (layout.packed != layout.plain) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::reorder::primitive_desc plan(engine_, layout.plain, engine_, layout.packed, attributes);
    MPIBERT_ASSERT(plan.scratchpad_desc().get_size() == 0);  // so any thread can run it
    layout.reorder.emplace(plan);
  }
  ++created_;
  return layouts_[shape] = std::make_shared<const PackedLayout>(std::move(layout));
}

}  // namespace mpibert::cpu
