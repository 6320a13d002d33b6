#include "ops/cpu/attention.h"

#include <algorithm>
#include <cmath>

#include "mpibert/base/error.h"
#include "ops/cpu/dropout_mask.h"
#include "ops/cpu/element.h"
#include "ops/cpu/simd.h"
#include "ops/cpu/small_product.h"
#include "ops/cpu/transpose.h"
#include "ops/cpu/work_items.h"

namespace mpibert::cpu {
namespace {

constexpr int64_t kQueries = 48;           // queries of a block: a multiple of the tile heights, and 512 keys of them are 96 KiB
constexpr int64_t kColumnsOfHead = 65536;  // dropout columns of a head

struct WorkItem {
  int64_t begin, length, head;
};

// All heads of all sequences that are not empty, the longest first, so that threads end together.
std::vector<WorkItem> work_items(const Tensor& cu_seqlens, int64_t tokens, int64_t heads, int64_t max_seq_length) {
  const auto bounds = cu_seqlens.span<int32_t>();
  std::vector<WorkItem> items;
  for (size_t b = 0; b + 1 < bounds.size(); ++b) {
    const int64_t begin = bounds[b], length = bounds[b + 1] - begin;
    MPIBERT_CHECK(begin >= 0 && length >= 0 && length <= max_seq_length && begin + length <= tokens, kInvalidArgument,
                  "attention: sequence ", b, " from token ", begin, " to ", begin + length, " of ", tokens, " tokens, max_seq_length ",
                  max_seq_length);
    for (int64_t head = 0; head < heads && length > 0; ++head) items.push_back({begin, length, head});
  }
  std::stable_sort(items.begin(), items.end(), [](const WorkItem& a, const WorkItem& b) { return a.length > b.length; });
  return items;
}

// Hands out pieces of one thread's memory.
class Pieces {
 public:
  explicit Pieces(float* memory) : next_(memory) {}
  float* take(int64_t size) {
    float* piece = next_;
    next_ += padded_columns(size);
    return piece;
  }
  Panels take(int64_t rows, int64_t columns) { return {take(rows * columns), rows, columns}; }

 private:
  float* next_;
};

// rows of `columns` numbers, times `scale`, into panels (zeros behind the last column).
template <class T>
void load_rows(const T* from, int64_t stride, int64_t columns, float scale, const Panels& to) {
  for (int64_t p = 0; p < to.count(); ++p) {
    const int64_t width = to.width(p), used = std::min(width, columns - p * kPanelColumns);
    for (int64_t row = 0; row < to.rows; ++row)
      for_lanes(used, [&](int64_t i, int n) {
        store(to.panel(p) + row * width + i, scale * load_n(from + row * stride + p * kPanelColumns + i, n));
      });
  }
}

// to [from.columns, rows padded] = transpose of from.
void transpose_panels(const Panels& from, const Panels& to) {
  for (int64_t t = 0; t < to.count(); ++t) {
    const int64_t begin = t * kPanelColumns, width = to.width(t), used = std::min(width, from.rows - begin);
    for (int64_t f = 0; f < from.count(); ++f) {
      float* corner = to.panel(t) + f * kPanelColumns * width;
      transpose_squares(from.panel(f) + begin * from.width(f), from.width(f), used, from.width(f), corner, width);
      for (int64_t row = 0; used < width && row < from.width(f); ++row)
        std::fill(corner + row * width + used, corner + (row + 1) * width, 0.0f);
    }
  }
}

// What a panel matrix is as a left operand: row-major with all columns in one row. More than one panel needs a second copy.
template <class T>
Strided load_left(const T* from, int64_t stride, int64_t columns, float scale, const Panels& same, float* memory) {
  if (same.count() == 1) return {same.data, same.columns, 1};
  for (int64_t row = 0; row < same.rows; ++row)
    for_lanes(columns, [&](int64_t i, int n) { store(memory + row * same.columns + i, scale * load_n(from + row * stride + i, n)); });
  return {memory, same.columns, 1};
}

template <class T>
void store_rows(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float scale, T* to, int64_t stride) {
  for (int64_t row = 0; row < rows; ++row)
    for_lanes(columns, [&](int64_t i, int n) { store_n(to + row * stride + i, scale * load(from + row * from_stride + i), n); });
}

// The lanes of a row of scores that are keys, as the first n of kLanes.
inline Vec only(Vec x, int n, float otherwise) {
  IntVec lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return lane < n ? x : broadcast(otherwise);
}

// Runs f(j, n, bits) over the keys of a query; bit i of bits is set where key j + i is kept.
template <class F>
inline void for_keys(const DropoutMask& mask, const uint64_t* kept, int64_t length, F f) {
  if (!mask.active()) return for_lanes(length, [&](int64_t j, int n) { f(j, n, ~uint64_t{0}); });
  for_lanes(length, [&](int64_t j, int n) { f(j, n, kept[j / 64] >> (j % 64)); });
}

void draw_mask(const DropoutMask& mask, int64_t token, int64_t head, int64_t length, uint64_t* kept) {
  if (!mask.active()) return;
  const uint32_t key = mask.token_key(token);
  for (int64_t j = 0; j < length; j += 64) kept[j / 64] = mask.keep_bits(key, head * kColumnsOfHead + j);
}

// scores of one query become exp(scores - largest), 0 where dropped; returns log of the sum of all, and 1 / that sum.
struct RowSum {
  float log_sum, inverse;
};
RowSum exponentiate(float* scores, int64_t length, const DropoutMask& mask, const uint64_t* kept) {
  Vec largest_of_lane = broadcast(-INFINITY);
  for_lanes(length, [&](int64_t j, int n) {
    largest_of_lane = max(largest_of_lane, only(load(scores + j), n, -INFINITY));  // a NaN shows in the sum
  });
  const float largest = max(largest_of_lane);
  Vec sum_of_lane{};
  for_keys(mask, kept, length, [&](int64_t j, int n, uint64_t bits) {
    const Vec e = only(exp(load(scores + j) - largest), n, 0);
    sum_of_lane += e;
    store(scores + j, mask.active() ? keep(e, bits) : e);
  });
  const float total = sum(sum_of_lane);
  return {largest + std::log(total), 1 / total};
}

template <class T>
struct Operands {
  int64_t tokens, heads, head_size;
  const T* qkv;
  int64_t stride() const { return 3 * heads * head_size; }      // from token to token in qkv
  int64_t context_stride() const { return heads * head_size; }  // and in context
  float scale() const { return 1 / std::sqrt(static_cast<float>(head_size)); }
  int64_t offset(const WorkItem& item, int part) const { return item.begin * stride() + (part * heads + item.head) * head_size; }
  int64_t context_offset(const WorkItem& item) const { return (item.begin * heads + item.head) * head_size; }
};

template <class T>
void forward_item(const Operands<T>& x, const WorkItem& item, const DropoutMask& mask, float* memory, T* context, float* log_sums) {
  const int64_t d = x.head_size, columns = padded_columns(d), keys = padded_columns(item.length);
  Pieces pieces(memory);
  const Panels k = pieces.take(item.length, columns), k_transposed = pieces.take(columns, keys);
  const Panels v = k;  // k is not needed once it is transposed
  float* scores = pieces.take(kQueries * keys);
  float* left = pieces.take(kQueries * columns);
  float* output = pieces.take(kQueries * columns);
  auto* kept = reinterpret_cast<uint64_t*>(pieces.take(2 * (item.length / 64 + 1)));
  const Panels q_memory{pieces.take(kQueries * columns), kQueries, columns};

  load_rows(x.qkv + x.offset(item, 1), x.stride(), d, 1, k);
  transpose_panels(k, k_transposed);
  load_rows(x.qkv + x.offset(item, 2), x.stride(), d, 1, v);
  for (int64_t begin = 0; begin < item.length; begin += kQueries) {
    const int64_t queries = std::min(kQueries, item.length - begin);
    const T* q_rows = x.qkv + x.offset(item, 0) + begin * x.stride();
    const Panels q{q_memory.data, queries, columns};
    if (q.count() == 1) load_rows(q_rows, x.stride(), d, x.scale(), q);
    multiply(queries, load_left(q_rows, x.stride(), d, x.scale(), q, left), k_transposed, scores, keys, false);
    float inverse[kQueries];
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t token = item.begin + begin + i;
      draw_mask(mask, token, item.head, item.length, kept);
      const RowSum row = exponentiate(scores + i * keys, item.length, mask, kept);
      log_sums[item.head * x.tokens + token] = row.log_sum;
      inverse[i] = row.inverse * mask.scale();
    }
    multiply(queries, {scores, keys, 1}, v, output, columns, false);
    T* to = context + x.context_offset(item) + begin * x.context_stride();
    for (int64_t i = 0; i < queries; ++i)
      store_rows(output + i * columns, columns, 1, d, inverse[i], to + i * x.context_stride(), x.context_stride());
  }
}

// One query: scores become its dropped-out probabilities, d_probabilities the gradient of its scores.
void differentiate(float* scores, float* d_probabilities, int64_t length, float log_sum, const DropoutMask& mask, const uint64_t* kept) {
  Vec mean_of_lane{};
  for_keys(mask, kept, length, [&](int64_t j, int n, uint64_t bits) {
    const Vec p = only(exp(load(scores + j) - log_sum), n, 0);
    Vec d_p = load(d_probabilities + j);
    if (mask.active()) d_p = mask.scale() * keep(d_p, bits);
    mean_of_lane += p * d_p;
    store(scores + j, p);
    store(d_probabilities + j, d_p);
  });
  const float mean = sum(mean_of_lane);  // of d_p under p
  for_keys(mask, kept, length, [&](int64_t j, int, uint64_t bits) {
    const Vec p = load(scores + j);
    store(d_probabilities + j, p * (load(d_probabilities + j) - mean));
    if (mask.active()) store(scores + j, mask.scale() * keep(p, bits));
  });
}

template <class T>
void backward_item(const Operands<T>& x, const WorkItem& item, const DropoutMask& mask, float* memory, const T* gradient,
                   const float* log_sums, T* d_qkv) {
  const int64_t d = x.head_size, columns = padded_columns(d), keys = padded_columns(item.length), length = item.length;
  Pieces pieces(memory);
  const Panels k = pieces.take(length, columns), k_transposed = pieces.take(columns, keys), v_transposed = pieces.take(columns, keys);
  float* d_k = pieces.take(length * columns);
  float* d_v = pieces.take(length * columns);
  float* scores = pieces.take(kQueries * keys);
  float* d_scores = pieces.take(kQueries * keys);
  float* left = pieces.take(kQueries * columns);
  float* d_q = pieces.take(kQueries * columns);
  const Panels q_memory{pieces.take(kQueries * columns), kQueries, columns}, g_memory{pieces.take(kQueries * columns), kQueries, columns};
  auto* kept = reinterpret_cast<uint64_t*>(pieces.take(2 * (length / 64 + 1)));

  load_rows(x.qkv + x.offset(item, 2), x.stride(), d, 1, k);
  transpose_panels(k, v_transposed);
  load_rows(x.qkv + x.offset(item, 1), x.stride(), d, 1, k);
  transpose_panels(k, k_transposed);
  for (int64_t begin = 0; begin < length; begin += kQueries) {
    const int64_t queries = std::min(kQueries, length - begin);
    const T* q_rows = x.qkv + x.offset(item, 0) + begin * x.stride();
    const T* g_rows = gradient + x.context_offset(item) + begin * x.context_stride();
    const Panels q{q_memory.data, queries, columns}, g{g_memory.data, queries, columns};
    load_rows(q_rows, x.stride(), d, x.scale(), q);
    load_rows(g_rows, x.context_stride(), d, 1, g);
    multiply(queries, load_left(q_rows, x.stride(), d, x.scale(), q, left), k_transposed, scores, keys, false);
    multiply(queries, load_left(g_rows, x.context_stride(), d, 1, g, left), v_transposed, d_scores, keys, false);
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t token = item.begin + begin + i;
      draw_mask(mask, token, item.head, length, kept);
      differentiate(scores + i * keys, d_scores + i * keys, length, log_sums[item.head * x.tokens + token], mask, kept);
    }
    multiply(queries, {d_scores, keys, 1}, k, d_q, columns, false);
    store_rows(d_q, columns, queries, d, x.scale(), d_qkv + x.offset(item, 0) + begin * x.stride(), x.stride());
    multiply(length, {scores, 1, keys}, g, d_v, columns, begin > 0);
    multiply(length, {d_scores, 1, keys}, q, d_k, columns, begin > 0);
  }
  store_rows(d_k, columns, length, d, 1, d_qkv + x.offset(item, 1), x.stride());
  store_rows(d_v, columns, length, d, 1, d_qkv + x.offset(item, 2), x.stride());
}

// What backward_item takes for the longest sequence; forward_item takes less.
int64_t memory_of_item(int64_t length, int64_t head_size) {
  const int64_t columns = padded_columns(head_size), keys = padded_columns(length);
  return 3 * length * columns + 2 * columns * keys + 2 * kQueries * keys + 5 * kQueries * columns + 2 * (length / 64 + 1) + 16 * kLanes;
}

// work(item, memory) for all items, on all threads.
template <class Work>
void for_items(const std::vector<WorkItem>& items, int64_t head_size, std::vector<Workspace>& workspaces, Work work) {
  if (items.empty()) return;
  workspaces.resize(std::max(workspaces.size(), static_cast<size_t>(omp_get_max_threads())));
  const int64_t size = memory_of_item(items.front().length, head_size);
  parallel_items(static_cast<int64_t>(items.size()), [&](int64_t i, int thread) {
    work(items[static_cast<size_t>(i)], workspaces[static_cast<size_t>(thread)].template get<float>(size));
  });
}

}  // namespace

size_t attention_saved_bytes(int64_t tokens, int64_t heads, int64_t, int64_t) {
  return static_cast<size_t>(tokens * heads) * sizeof(float);
}

void AttentionEngine::forward(const AttentionForward& op) {
  const Shape& shape = op.context.shape();
  const std::vector<WorkItem> items = work_items(op.cu_seqlens, shape[0], shape[1], op.max_seq_length);
  const DropoutMask mask(op.dropout);
  with_element(op.qkv.dtype(), [&]<class T>(T) {
    const Operands<T> x{shape[0], shape[1], shape[2], data<T>(op.qkv)};
    for_items(items, x.head_size, workspaces_, [&](const WorkItem& item, float* memory) {
      forward_item(x, item, mask, memory, data<T>(op.context), data<float>(op.saved));
    });
  });
}

void AttentionEngine::backward(const AttentionBackward& op) {
  const Shape& shape = op.gradient.shape();
  const std::vector<WorkItem> items = work_items(op.cu_seqlens, shape[0], shape[1], op.max_seq_length);
  const DropoutMask mask(op.dropout);
  with_element(op.qkv.dtype(), [&]<class T>(T) {
    const Operands<T> x{shape[0], shape[1], shape[2], data<T>(op.qkv)};
    for_items(items, x.head_size, workspaces_, [&](const WorkItem& item, float* memory) {
      backward_item(x, item, mask, memory, data<T>(op.gradient), data<float>(op.saved), data<T>(op.d_qkv));
    });
  });
}

}  // namespace mpibert::cpu
