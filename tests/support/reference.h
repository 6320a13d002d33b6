#pragma once

// Plain double-precision versions of the operations, and tensors to feed them: what every backend is compared with.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "mpibert/base/random.h"
#include "mpibert/ops/ops.h"

namespace mpibert::reference {

// Host numbers with a shape, owned; values are rounded to the element type when made, so a reference sees what the backend sees.
class Numbers {
 public:
  Numbers() = default;
  Numbers(DType dtype, Shape shape, double value = 0);
  // Normal with this deviation, from (seed): never the same as another seed's.
  static Numbers normal(DType dtype, Shape shape, uint64_t seed, double deviation = 1);

  Tensor tensor();
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t size() const { return shape_.size(); }
  double at(int64_t i) const;
  void set(int64_t i, double value);
  std::vector<double> doubles() const;
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  DType dtype_ = DType::kFloat32;
  Shape shape_;
  std::vector<uint8_t> bytes_;
};

// The error of rounding x once to a type is at most unit_roundoff(type) |x| + underflow(type).
double unit_roundoff(DType dtype);  // 2^-24 (fp32), 2^-8 (bf16) or 2^-11 (fp16)
double underflow(DType dtype);      // half of the smallest number: 2^-25 in fp16; 0 in the others, whose 2^-134 is below every tolerance

double activate(Activation kind, double x);
double derivative(Activation kind, double x);

// The mask of ops.h, from the formula: whether (token key, column) is kept, and what kept elements are multiplied with.
struct Mask {
  double rate = 0;
  uint32_t site = 0;
  uint64_t seed = 0;
  int64_t step = 0;
  double scale() const;
  bool keeps(int32_t token_key, int64_t column) const;
};

// c of Matmul for operands as doubles, and for each element the sum of |a||b| + |beta c| + |bias|, which bounds its rounding error.
struct MatmulResult {
  std::vector<double> c, magnitude, activated;
};
MatmulResult matmul(const Matmul& op);

struct AttentionShape {
  std::vector<int32_t> cu_seqlens;
  int64_t heads = 1, head_size = 1;
  std::vector<double> distances{};  // AttentionForward::distance_embedding; empty: there is none
  DistanceUse distance_use = DistanceUse::kQueries;
  bool distances_of_keys() const { return distance_use == DistanceUse::kQueriesAndKeys; }
  bool distances_of_values() const { return distance_use == DistanceUse::kQueriesAndValues; }
  int64_t tokens() const { return cu_seqlens.back(); }
  // Of `distances`, where the embedding of query i and key j is; its size where there is none.
  size_t distance(int64_t i, int64_t j, int64_t d) const {
    const int64_t rows = static_cast<int64_t>(distances.size()) / head_size;
    int64_t row = i - j + rows / 2;
    if (distances_of_values() && rows > 0) row = std::clamp<int64_t>(row, 0, rows - 1);
    return row < 0 || row >= rows ? distances.size() : static_cast<size_t>(row * head_size + d);
  }
  double embedding(int64_t i, int64_t j, int64_t d) const {
    return distance(i, j, d) < distances.size() ? distances[distance(i, j, d)] : 0;
  }
};
// context [T, A, D] of qkv [T, 3, A, D]. token_keys [T], unused if mask.rate is 0.
std::vector<double> attention_forward(const AttentionShape& shape, const std::vector<double>& qkv, const Mask& mask,
                                      const std::vector<int32_t>& token_keys);
// d_qkv by the chain rule, written down independently of any backend's order.
std::vector<double> attention_backward(const AttentionShape& shape, const std::vector<double>& qkv, const std::vector<double>& gradient,
                                       const Mask& mask, const std::vector<int32_t>& token_keys);
// That of shape.distances.
std::vector<double> attention_distance_gradient(const AttentionShape& shape, const std::vector<double>& qkv,
                                                const std::vector<double>& gradient, const Mask& mask,
                                                const std::vector<int32_t>& token_keys);

// How far products on tensor cores may take context and d_qkv from those, for each element, because the left factors of the products that
// come after the scores (probabilities, gradients of the scores) are rounded to `dtype`: the sum over the terms of (rounding of the left
// factor) * |right factor|.
struct AttentionRounding {
  std::vector<double> context, d_qkv;
};
AttentionRounding attention_rounding(DType dtype, const AttentionShape& shape, const std::vector<double>& qkv,
                                     const std::vector<double>& gradient, const Mask& mask, const std::vector<int32_t>& token_keys);

}  // namespace mpibert::reference
