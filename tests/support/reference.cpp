#include "tests/support/reference.h"

#include <algorithm>
#include <cstring>
#include <numbers>

#include "mpibert/ops/host_cast.h"

namespace mpibert::reference {

Numbers::Numbers(DType dtype, Shape shape, double value)
    : dtype_(dtype), shape_(shape), bytes_(static_cast<size_t>(shape.size()) * bytes_of(dtype)) {
  for (int64_t i = 0; i < size(); ++i) set(i, value);
}

Numbers Numbers::normal(DType dtype, Shape shape, uint64_t seed, double deviation) {
  Numbers numbers(dtype, shape);
  RandomStream random(seed, RandomPurpose::kParameters, 0);
  for (int64_t i = 0; i < numbers.size(); ++i) numbers.set(i, deviation * random.normal());
  return numbers;
}

Tensor Numbers::tensor() { return Tensor(bytes_.data(), dtype_, shape_); }

double Numbers::at(int64_t i) const {
  const uint8_t* p = bytes_.data() + static_cast<size_t>(i) * bytes_of(dtype_);
  if (dtype_ == DType::kInt32) {
    int32_t value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  const auto get = [&](auto number) {
    std::memcpy(&number, p, sizeof number);
    return static_cast<double>(static_cast<float>(number));
  };
  if (dtype_ == DType::kBFloat16) return get(bfloat16{});
  if (dtype_ == DType::kFloat16) return get(float16{});
  return get(float{});
}

void Numbers::set(int64_t i, double value) {
  uint8_t* p = bytes_.data() + static_cast<size_t>(i) * bytes_of(dtype_);
  const auto put = [&](auto number) { std::memcpy(p, &number, sizeof number); };
  if (dtype_ == DType::kInt32) put(static_cast<int32_t>(value));
  else if (dtype_ == DType::kBFloat16) put(bfloat16(static_cast<float>(value)));
  else if (dtype_ == DType::kFloat16) put(float16(static_cast<float>(value)));
  else put(static_cast<float>(value));
}

std::vector<double> Numbers::doubles() const {
  std::vector<double> all(static_cast<size_t>(size()));
  for (int64_t i = 0; i < size(); ++i) all[static_cast<size_t>(i)] = at(i);
  return all;
}

double unit_roundoff(DType dtype) { return dtype == DType::kBFloat16 ? 0x1p-8 : dtype == DType::kFloat16 ? 0x1p-11 : 0x1p-24; }

double underflow(DType dtype) { return dtype == DType::kFloat16 ? 0x1p-25 : 0; }

namespace {

double phi(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
const double kRootTwoOverPi = std::sqrt(2 / std::numbers::pi);

std::vector<double> numbers(const Tensor& t) {
  std::vector<float> all(static_cast<size_t>(t.size()));
  if (t) host_cast(t, host_tensor(std::span(all), t.shape()));
  return {all.begin(), all.end()};
}

}  // namespace

double activate(Activation kind, double x) {
  switch (kind) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return x * phi(x);
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(kRootTwoOverPi * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kTanh:
      return std::tanh(x);
  }
  return x;
}

double derivative(Activation kind, double x) {
  switch (kind) {
    case Activation::kNone:
      return 1;
    case Activation::kGelu:
      return phi(x) + x * density(x);
    case Activation::kGeluTanh: {
      const double t = std::tanh(kRootTwoOverPi * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kRootTwoOverPi * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::kRelu:
      return x > 0 ? 1 : 0;
    case Activation::kTanh:
      return 1 - std::tanh(x) * std::tanh(x);
  }
  return 1;
}

double Mask::scale() const { return 65536.0 / (65536.0 - static_cast<double>(std::lround(rate * 65536))); }

bool Mask::keeps(int32_t token_key, int64_t column) const {
  if (rate == 0) return true;
  const auto c = static_cast<uint32_t>(column);
  const PhiloxCounter words =
      philox4x32_10({c / 8, static_cast<uint32_t>(token_key), 0x80000000u | site, static_cast<uint32_t>(step)}, philox_key(seed));
  const uint32_t word = words[c % 8 / 2];
  const uint32_t half = c % 2 == 0 ? word & 0xffffu : word >> 16;
  return half >= static_cast<uint32_t>(std::lround(rate * 65536));
}

MatmulResult matmul(const Matmul& op) {
  const int64_t m = op.c.shape()[0], n = op.c.shape()[1], k = op.a.shape()[op.transpose_a ? 0 : 1];
  const std::vector<double> a = numbers(op.a), b = numbers(op.b), c_before = numbers(op.c), biases = numbers(op.bias),
                            at = numbers(op.derivative_at);
  const int64_t a_row = op.transpose_a ? 1 : k, a_term = op.transpose_a ? m : 1, b_column = op.transpose_b ? k : 1,
                b_term = op.transpose_b ? 1 : n;
  MatmulResult result;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t l = 0; l < k; ++l) {
        const double product = a[static_cast<size_t>(i * a_row + l * a_term)] * b[static_cast<size_t>(j * b_column + l * b_term)];
        sum += product;
        magnitude += std::abs(product);
      }
      const double before = op.beta == 0 ? 0 : static_cast<double>(op.beta) * c_before[static_cast<size_t>(i * n + j)];
      const double bias = op.bias ? biases[static_cast<size_t>(j)] : 0;
      double c = static_cast<double>(op.alpha) * sum + before + bias;
      magnitude = std::abs(static_cast<double>(op.alpha)) * magnitude + std::abs(before) + std::abs(bias);
      if (op.derivative_at) c *= derivative(op.activation, at[static_cast<size_t>(i * n + j)]);
      result.c.push_back(c);
      result.magnitude.push_back(magnitude);
      result.activated.push_back(activate(op.activation, c));
    }
  return result;
}

namespace {

// One sequence and head: indices into qkv and context, and the probabilities.
struct Head {
  const AttentionShape& shape;
  int64_t begin, length, head;

  size_t qkv(int64_t token, int part, int64_t d) const {
    return static_cast<size_t>((((begin + token) * 3 + part) * shape.heads + head) * shape.head_size + d);
  }
  size_t context(int64_t token, int64_t d) const {
    return static_cast<size_t>(((begin + token) * shape.heads + head) * shape.head_size + d);
  }
  double dot(const std::vector<double>& x, int64_t i, int part_i, const std::vector<double>& y, int64_t j, int part_j) const {
    double sum = 0;
    for (int64_t d = 0; d < shape.head_size; ++d) sum += x[qkv(i, part_i, d)] * y[qkv(j, part_j, d)];
    return sum;
  }
  std::vector<double> probabilities(const std::vector<double>& values, int64_t i) const {
    std::vector<double> p(static_cast<size_t>(length));
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < length; ++j) {
      double score = dot(values, i, 0, values, j, 1);
      for (int64_t d = 0; d < shape.head_size && !shape.distances.empty(); ++d)
        score += (values[qkv(i, 0, d)] + (shape.distances_of_keys() ? values[qkv(j, 1, d)] : 0)) * shape.embedding(i, j, d);
      p[static_cast<size_t>(j)] = score / std::sqrt(static_cast<double>(shape.head_size));
      largest = std::max(largest, p[static_cast<size_t>(j)]);
    }
    for (double& x : p) sum += x = std::exp(x - largest);
    for (double& x : p) x /= sum;
    return p;
  }
  double value(const std::vector<double>& values, int64_t i, int64_t j, int64_t d) const {
    return values[qkv(j, 2, d)] + (shape.distances_of_values() ? shape.embedding(i, j, d) : 0);
  }
  double factor(const Mask& mask, const std::vector<int32_t>& token_keys, int64_t i, int64_t j) const {
    if (mask.rate == 0) return 1;
    return mask.keeps(token_keys[static_cast<size_t>(begin + i)], head * 65536 + j) ? mask.scale() : 0;
  }
};

template <class F>
void each_head(const AttentionShape& shape, F f) {
  for (size_t b = 0; b + 1 < shape.cu_seqlens.size(); ++b)
    for (int64_t head = 0; head < shape.heads; ++head)
      f(Head{shape, shape.cu_seqlens[b], shape.cu_seqlens[b + 1] - shape.cu_seqlens[b], head});
}

}  // namespace

std::vector<double> attention_forward(const AttentionShape& shape, const std::vector<double>& qkv, const Mask& mask,
                                      const std::vector<int32_t>& token_keys) {
  std::vector<double> context(qkv.size() / 3);
  each_head(shape, [&](const Head& h) {
    for (int64_t i = 0; i < h.length; ++i) {
      const std::vector<double> p = h.probabilities(qkv, i);
      for (int64_t j = 0; j < h.length; ++j)
        for (int64_t d = 0; d < shape.head_size; ++d)
          context[h.context(i, d)] += p[static_cast<size_t>(j)] * h.factor(mask, token_keys, i, j) * h.value(qkv, i, j, d);
    }
  });
  return context;
}

namespace {

// Of one query: probabilities, and the gradient of its scores before they are scaled.
struct Row {
  std::vector<double> p, d_scores;
};
Row row_of(const Head& h, const std::vector<double>& qkv, const std::vector<double>& gradient, const Mask& mask,
           const std::vector<int32_t>& token_keys, int64_t i) {
  Row row{h.probabilities(qkv, i), std::vector<double>(static_cast<size_t>(h.length))};
  double mean = 0;  // of the probabilities' gradient: the softmax's own part
  for (int64_t j = 0; j < h.length; ++j) {
    double& d_p = row.d_scores[static_cast<size_t>(j)];
    for (int64_t d = 0; d < h.shape.head_size; ++d)
      d_p += h.factor(mask, token_keys, i, j) * gradient[h.context(i, d)] * h.value(qkv, i, j, d);
    mean += row.p[static_cast<size_t>(j)] * d_p;
  }
  for (size_t j = 0; j < row.p.size(); ++j) row.d_scores[j] = row.p[j] * (row.d_scores[j] - mean);
  return row;
}

}  // namespace

std::vector<double> attention_backward(const AttentionShape& shape, const std::vector<double>& qkv, const std::vector<double>& gradient,
                                       const Mask& mask, const std::vector<int32_t>& token_keys) {
  std::vector<double> d_qkv(qkv.size());
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_size));
  each_head(shape, [&](const Head& h) {
    for (int64_t i = 0; i < h.length; ++i) {
      const Row row = row_of(h, qkv, gradient, mask, token_keys, i);
      for (int64_t j = 0; j < h.length; ++j) {
        const double dropped = row.p[static_cast<size_t>(j)] * h.factor(mask, token_keys, i, j),
                     d_score = scale * row.d_scores[static_cast<size_t>(j)];
        for (int64_t d = 0; d < shape.head_size; ++d) {
          const double distance = shape.embedding(i, j, d);
          d_qkv[h.qkv(i, 0, d)] += d_score * (qkv[h.qkv(j, 1, d)] + distance);
          d_qkv[h.qkv(j, 1, d)] += d_score * (qkv[h.qkv(i, 0, d)] + (shape.distances_of_keys() ? distance : 0));
          d_qkv[h.qkv(j, 2, d)] += dropped * gradient[h.context(i, d)];
        }
      }
    }
  });
  return d_qkv;
}

std::vector<double> attention_distance_gradient(const AttentionShape& shape, const std::vector<double>& qkv,
                                                const std::vector<double>& gradient, const Mask& mask,
                                                const std::vector<int32_t>& token_keys) {
  std::vector<double> d_distances(shape.distances.size());
  if (d_distances.empty()) return {};
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_size));
  each_head(shape, [&](const Head& h) {
    for (int64_t i = 0; i < h.length; ++i) {
      const Row row = row_of(h, qkv, gradient, mask, token_keys, i);
      for (int64_t j = 0; j < h.length; ++j) {
        const double dropped = row.p[static_cast<size_t>(j)] * h.factor(mask, token_keys, i, j),
                     d_score = scale * row.d_scores[static_cast<size_t>(j)];
        for (int64_t d = 0; d < shape.head_size && shape.distance(i, j, d) < d_distances.size(); ++d) {
          double& sum = d_distances[shape.distance(i, j, d)];
          sum += d_score * (qkv[h.qkv(i, 0, d)] + (shape.distances_of_keys() ? qkv[h.qkv(j, 1, d)] : 0));
          if (shape.distances_of_values()) sum += dropped * gradient[h.context(i, d)];
        }
      }
    }
  });
  return d_distances;
}

// dQ is computed from d_scores - p e and taken right by + p e, where e is what the rounding of context does to gradient . context.
AttentionRounding attention_rounding(DType dtype, const AttentionShape& shape, const std::vector<double>& qkv,
                                     const std::vector<double>& gradient, const Mask& mask, const std::vector<int32_t>& token_keys) {
  AttentionRounding bound{std::vector<double>(qkv.size() / 3), std::vector<double>(qkv.size())};
  const std::vector<double> context = attention_forward(shape, qkv, mask, token_keys);
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_size)), u = unit_roundoff(dtype);
  const double least = dtype == DType::kFloat16 ? 0x1p-25 : 0;  // half the distance of subnormals
  const auto rounding = [&](double x) { return u * std::abs(x) + least; };
  each_head(shape, [&](const Head& h) {
    for (int64_t i = 0; i < h.length; ++i) {
      const Row row = row_of(h, qkv, gradient, mask, token_keys, i);
      double e = 0;
      for (int64_t d = 0; d < shape.head_size; ++d) e += u * std::abs(gradient[h.context(i, d)] * context[h.context(i, d)]);
      for (int64_t j = 0; j < h.length; ++j) {
        const double p = row.p[static_cast<size_t>(j)], factor = h.factor(mask, token_keys, i, j);
        const double of_p = factor == 0 ? 0 : factor * rounding(p), of_key = scale * rounding(row.d_scores[static_cast<size_t>(j)]);
        const double of_query = of_key + 2 * scale * e * rounding(p);
        for (int64_t d = 0; d < shape.head_size; ++d) {
          bound.context[h.context(i, d)] += of_p * std::abs(qkv[h.qkv(j, 2, d)]);
          bound.d_qkv[h.qkv(i, 0, d)] += of_query * std::abs(qkv[h.qkv(j, 1, d)]);
          bound.d_qkv[h.qkv(j, 1, d)] += of_key * std::abs(qkv[h.qkv(i, 0, d)]);
          bound.d_qkv[h.qkv(j, 2, d)] += of_p * std::abs(gradient[h.context(i, d)]);
        }
      }
    }
  });
  return bound;
}

}  // namespace mpibert::reference
