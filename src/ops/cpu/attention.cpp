#include "ops/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "mpibert/base/error.h"
#include "ops/cpu/attention_distance.h"
#include "ops/cpu/dropout_mask.h"
#include "ops/cpu/parallel.h"
#include "ops/cpu/work_items.h"

namespace mpibert::cpu {
namespace {

constexpr int64_t kQueries = 48;           // queries of a block: a multiple of the tile heights, and 512 keys of them are 96 KiB
constexpr int64_t kColumnsOfHead = 65536;  // dropout columns of a head
constexpr size_t kItemsOfRound = 64;  // whose gradients of distance embeddings are in memory at a time: 16 MiB of 512 tokens and D = 64

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

template <class T, class Op>
Distances distances_of(const Op& op, const std::vector<WorkItem>& items, Workspace& workspace) {
  if (!op.distance_embedding || items.empty()) return {};
  return load_distances<T>(op.distance_embedding, op.distance_use, items.front().length, workspace);
}

template <class T>
void forward_item(const Operands<T>& x, const Distances& distances, const WorkItem& item, const DropoutMask& mask, float* memory,
                  T* context, float* log_sums) {
  const int64_t d = x.head_size, columns = padded_columns(d), keys = padded_columns(item.length);
  Pieces pieces(memory);
  const Panels k = pieces.take(item.length, columns), k_transposed = pieces.take(columns, keys);
  const Panels v = k;  // k is not needed once it is transposed
  float* scores = pieces.take(kQueries * keys);
  float* left = pieces.take(kQueries * columns);
  float* output = pieces.take(kQueries * columns);
  auto* kept = reinterpret_cast<uint64_t*>(pieces.take(2 * (item.length / 64 + 1)));
  const Panels q_memory{pieces.take(kQueries * columns), kQueries, columns};
  float* band_memory = pieces.take(0);

  load_rows(x.qkv + x.offset(item, 1), x.stride(), d, 1, k);
  transpose_panels(k, k_transposed);
  load_rows(x.qkv + x.offset(item, 2), x.stride(), d, 1, v);
  for (int64_t begin = 0; begin < item.length; begin += kQueries) {
    const int64_t queries = std::min(kQueries, item.length - begin);
    const T* q_rows = x.qkv + x.offset(item, 0) + begin * x.stride();
    const Panels q{q_memory.data, queries, columns};
    const QueryBlock block{begin, queries, item.length};
    if (q.count() == 1) load_rows(q_rows, x.stride(), d, x.scale(), q);
    const Strided q_left = load_left(q_rows, x.stride(), d, x.scale(), q, left);
    multiply(queries, q_left, k_transposed, scores, keys, false);
    if (distances.are_there()) add_distance_scores(distances, block, q_left, k_transposed, x.scale(), band_memory, scores, keys);
    float inverse[kQueries];
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t token = item.begin + begin + i;
      draw_mask(mask, token, item.head, item.length, kept);
      const RowSum row = exponentiate(scores + i * keys, item.length, mask, kept);
      log_sums[item.head * x.tokens + token] = row.log_sum;
      inverse[i] = row.inverse * mask.scale();
    }
    multiply(queries, {scores, keys, 1}, v, output, columns, false);
    if (distances.are_of_values())
      add_weighted_distances(distances, block, by_distance_of(distances, block, scores, keys, band_memory), output);
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

// d_distances: of this item alone, as in add_distance_gradients; unused without distances.
template <class T>
void backward_item(const Operands<T>& x, const Distances& distances, const WorkItem& item, const DropoutMask& mask, float* memory,
                   const T* gradient, const float* log_sums, T* d_qkv, float* d_distances) {
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
  float* band_memory = pieces.take(0);

  load_rows(x.qkv + x.offset(item, 2), x.stride(), d, 1, k);
  transpose_panels(k, v_transposed);
  load_rows(x.qkv + x.offset(item, 1), x.stride(), d, 1, k);
  transpose_panels(k, k_transposed);
  if (distances.are_there()) std::fill_n(d_distances, (2 * length - 1) * columns, 0.0f);
  for (int64_t begin = 0; begin < length; begin += kQueries) {
    const int64_t queries = std::min(kQueries, length - begin);
    const T* q_rows = x.qkv + x.offset(item, 0) + begin * x.stride();
    const T* g_rows = gradient + x.context_offset(item) + begin * x.context_stride();
    const Panels q{q_memory.data, queries, columns}, g{g_memory.data, queries, columns};
    const QueryBlock block{begin, queries, length};
    load_rows(q_rows, x.stride(), d, x.scale(), q);
    load_rows(g_rows, x.context_stride(), d, 1, g);
    const Strided q_left = load_left(q_rows, x.stride(), d, x.scale(), q, left);
    multiply(queries, q_left, k_transposed, scores, keys, false);
    if (distances.are_there()) add_distance_scores(distances, block, q_left, k_transposed, x.scale(), band_memory, scores, keys);
    const Strided g_left = load_left(g_rows, x.context_stride(), d, 1, g, left);
    multiply(queries, g_left, v_transposed, d_scores, keys, false);
    if (distances.are_of_values()) add_distance_products(distances, block, g_left, band_memory, d_scores, keys);
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t token = item.begin + begin + i;
      draw_mask(mask, token, item.head, length, kept);
      differentiate(scores + i * keys, d_scores + i * keys, length, log_sums[item.head * x.tokens + token], mask, kept);
    }
    multiply(queries, {d_scores, keys, 1}, k, d_q, columns, false);
    multiply(length, {scores, 1, keys}, g, d_v, columns, begin > 0);
    multiply(length, {d_scores, 1, keys}, q, d_k, columns, begin > 0);
    if (distances.are_there())
      add_distance_gradients(distances, block, d_scores, keys, q, k, x.scale(), band_memory, d_q, d_k, d_distances);
    if (distances.are_of_values())
      add_weighted_rows(distances, block, by_distance_of(distances, block, scores, keys, band_memory), g, d_distances);
    store_rows(d_q, columns, queries, d, x.scale(), d_qkv + x.offset(item, 0) + begin * x.stride(), x.stride());
  }
  store_rows(d_k, columns, length, d, 1, d_qkv + x.offset(item, 1), x.stride());
  store_rows(d_v, columns, length, d, 1, d_qkv + x.offset(item, 2), x.stride());
}

// What backward_item takes for the longest sequence; forward_item takes less.
int64_t memory_of_item(int64_t length, int64_t head_size, bool has_distances) {
  const int64_t columns = padded_columns(head_size), keys = padded_columns(length);
  return 3 * length * columns + 2 * columns * keys + 2 * kQueries * keys + 5 * kQueries * columns + 2 * (length / 64 + 1) + 16 * kLanes +
         (has_distances ? distance_memory(kQueries, length) : 0);
}

// work(i, memory) for items i, the longest first, on all threads.
template <class Work>
void for_items(std::span<const WorkItem> items, int64_t head_size, bool has_distances, std::vector<Workspace>& workspaces, Work work) {
  if (items.empty()) return;
  workspaces.resize(std::max(workspaces.size(), static_cast<size_t>(omp_get_max_threads())));
  const int64_t size = memory_of_item(items.front().length, head_size, has_distances);
  parallel_items(static_cast<int64_t>(items.size()), [&](int64_t i, int thread) {
    work(static_cast<size_t>(i), workspaces[static_cast<size_t>(thread)].template get<float>(size));
  });
}

// Adds what backward_item found of each item, `stride` numbers apart, to the tensor [2P - 1, D]: one item after another, whatever threads
// they ran on. Rows beyond the tensor's ends are its last ones' where distances are clipped, else nobody's.
void add_d_distances(std::span<const WorkItem> items, const Distances& distances, const float* partials, int64_t stride,
                     const Tensor& output) {
  const int64_t d = output.shape()[1], columns = padded_columns(d), last = output.shape()[0] - 1, first = last / 2 + distances.longest - 1;
  parallel_rows(output.shape()[0], d * static_cast<int64_t>(items.size()), [&](int64_t to_row) {
    float* const to = data<float>(output) + to_row * d;
    const int64_t begin = distances.are_of_values() && to_row == last ? 0 : first - to_row;
    const int64_t end = distances.are_of_values() && to_row == 0 ? distances.size() : first - to_row + 1;
    for (size_t i = 0; i < items.size(); ++i) {
      const int64_t before = distances.longest - items[i].length;
      for (int64_t own = std::max<int64_t>(0, begin - before); own < std::min(end - before, 2 * items[i].length - 1); ++own) {
        const float* from = partials + static_cast<int64_t>(i) * stride + own * columns;
        for_lanes(d, [&](int64_t c, int n) { store_n(to + c, load_n(to + c, n) + load_n(from + c, n), n); });
      }
    }
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
    const Distances distances = distances_of<T>(op, items, distances_);
    for_items(items, x.head_size, distances.are_there(), workspaces_, [&](size_t i, float* memory) {
      forward_item(x, distances, items[i], mask, memory, data<T>(op.context), data<float>(op.saved));
    });
  });
}

void AttentionEngine::backward(const AttentionBackward& op) {
  const Shape& shape = op.gradient.shape();
  const std::vector<WorkItem> items = work_items(op.cu_seqlens, shape[0], shape[1], op.max_seq_length);
  const DropoutMask mask(op.dropout);
  with_element(op.qkv.dtype(), [&]<class T>(T) {
    const Operands<T> x{shape[0], shape[1], shape[2], data<T>(op.qkv)};
    const Distances distances = distances_of<T>(op, items, distances_);
    // With distances in rounds, so that the items' own gradients of them do not grow with the batch.
    const size_t round = distances.are_there() ? kItemsOfRound : std::max<size_t>(1, items.size());
    const int64_t stride = distances.size() * padded_columns(x.head_size);
    float* const partials =
        distances.are_there() ? partials_.get<float>(static_cast<int64_t>(std::min(round, items.size())) * stride) : nullptr;
    for (size_t first = 0; first < items.size(); first += round) {
      const auto some = std::span(items).subspan(first, std::min(round, items.size() - first));
      for_items(some, x.head_size, distances.are_there(), workspaces_, [&](size_t i, float* memory) {
        backward_item(x, distances, some[i], mask, memory, data<T>(op.gradient), data<float>(op.saved), data<T>(op.d_qkv),
                      partials + static_cast<int64_t>(i) * stride);
      });
      if (distances.are_there()) add_d_distances(some, distances, partials, stride, op.d_distance_embedding);
    }
  });
}

}  // namespace mpibert::cpu
