#pragma once

#include <dnnl.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace mpibert::cpu {

// One product of bf16 matrices as oneDNN wants it described: c [m, n] = a [m, k] b [k, n] (+ bias) (+ beta c), a and c dense.
struct ProductShape {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_b = false;
  bool packed = false;  // b in the layout of PackedLayout, else as it lies
  bool c_is_float = false, bias = false;
  float beta = 0;
  auto operator<=>(const ProductShape&) const = default;
};

// The layout that the library likes best for b [k, n], and how b gets into it.
struct PackedLayout {
  dnnl::memory::desc plain, packed;
  std::optional<dnnl::reorder> reorder;  // none: plain is what it likes
};

struct Product {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, c, bias, scratch;
};

// oneDNN's objects, made when first asked for and kept by shape. All are made for one thread: the library looks at the number of threads
// when it plans a primitive. At most kCapacity are kept; then all are forgotten and made again as needed. Any thread may ask.
class MatmulPrimitives {
 public:
  std::shared_ptr<const Product> product(const ProductShape& shape);
  std::shared_ptr<const PackedLayout> layout(int64_t n, int64_t k, bool transpose_b);
  const dnnl::engine& engine() const { return engine_; }
  int64_t created() const;

 private:
  std::shared_ptr<const PackedLayout> find_layout(int64_t n, int64_t k, bool transpose_b);

  static constexpr size_t kCapacity = 1024;

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  std::map<ProductShape, std::shared_ptr<const Product>> products_;
  std::map<ProductShape, std::shared_ptr<const PackedLayout>> layouts_;
  int64_t created_ = 0;
  mutable std::mutex mutex_;
};

}  // namespace mpibert::cpu
