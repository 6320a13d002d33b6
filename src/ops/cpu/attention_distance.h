#pragma once

// What the distance embeddings of AttentionForward add to a block of queries. The products with embeddings are those of matrices, and each
// row of them is moved by its place, as in Transformer-XL (Dai et al. 2019, arXiv:1901.02860, appendix B).

#include <algorithm>

#include "ops/cpu/attention_panels.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {
namespace {

// The embeddings of distances up to S - 1 in the order in which own rows and others of a sequence meet them: row S - 1 - own + other. For
// own queries and other keys the distances fall from S - 1 to 1 - S; for own keys and other queries they rise.
struct DistanceTable {
  Panels rows{}, transposed{};  // [2S - 1, D], [D, 2S - 1], with padded columns
};

struct Distances {
  int64_t longest = 0;  // S; 0: there are no embeddings
  DistanceUse use = DistanceUse::kQueries;
  DistanceTable of_queries{}, of_keys{};

  bool are_there() const { return longest > 0; }
  bool are_of_keys() const { return use == DistanceUse::kQueriesAndKeys; }
  bool are_of_values() const { return use == DistanceUse::kQueriesAndValues; }  // and clipped
  int64_t size() const { return std::max<int64_t>(0, 2 * longest - 1); }
};

template <class T>
Distances load_distances(const Tensor& embedding, DistanceUse use, int64_t longest, Workspace& workspace) {
  Distances distances{.longest = longest, .use = use};
  const int64_t d = embedding.shape()[1], columns = padded_columns(d), size = padded_columns(distances.size());
  Pieces pieces(workspace.get<float>(4 * columns * size));
  const int64_t known = std::min(longest, embedding.shape()[0] / 2 + 1), beyond = longest - known;
  const auto load = [&](DistanceTable& table, int64_t step) {
    table = {.rows = pieces.take(distances.size(), columns), .transposed = pieces.take(columns, size)};
    const T* const middle = data<T>(embedding) + embedding.shape()[0] / 2 * d;
    const T *const first = middle - step * (known - 1) * d, *const last = middle + step * (known - 1) * d;
    load_rows(first, step * d, d, 1, table.rows.rows_from(beyond, 2 * known - 1));
    const float ends = distances.are_of_values() ? 1.0f : 0.0f;
    load_rows(first, 0, d, ends, table.rows.rows_from(0, beyond));
    load_rows(last, 0, d, ends, table.rows.rows_from(beyond + 2 * known - 1, beyond));
    transpose_panels(table.rows, table.transposed);
  };
  load(distances.of_queries, -1);
  if (distances.are_of_keys()) load(distances.of_keys, 1);
  return distances;
}

// Some own rows of a sequence, some others, and the `size` rows of a table, from `first` on, where they meet: the o-th own row and the t-th
// of the others in row shift(o) + t of these.
struct DistanceBand {
  int64_t own, others, first, size;

  DistanceBand(int64_t longest, int64_t own_begin, int64_t own_count, int64_t other_begin, int64_t other_count)
      : own(own_count), others(other_count), first(longest - own_begin - own_count + other_begin), size(own_count + other_count - 1) {}
  int64_t shift(int64_t o) const { return own - 1 - o; }
};

// What add_distance_scores and add_distance_gradients need of a thread's memory.
inline int64_t distance_memory(int64_t queries, int64_t length) {
  const auto band = [](int64_t own, int64_t others) { return own * (padded_columns(own + others) + 2 * kPanelColumns); };
  return std::max(band(queries, length), band(kPanelColumns, queries));
}

// The products of own rows with the embeddings that they meet: add(o, products of row o with those of others 0, 1, ...) for each.
template <class Add>
void for_distance_products(const DistanceTable& table, const DistanceBand& band, const Strided& own, float* memory, Add add) {
  const Panels panels = table.transposed.panels_of(band.first, band.first + band.size);
  multiply(band.own, own, panels, memory, panels.columns, false);
  for (int64_t o = 0; o < band.own; ++o) add(o, memory + o * panels.columns + band.first % kPanelColumns + band.shift(o));
}

// [own, size]: value(o, t) where they meet, zero elsewhere.
template <class Value>
Strided spread_over_distances(const DistanceBand& band, float* memory, Value value) {
  const int64_t stride = padded_columns(band.size);
  for (int64_t o = 0; o < band.own; ++o) {
    float* const row = memory + o * stride;
    std::fill_n(row, band.size, 0.0f);
    for (int64_t t = 0; t < band.others; ++t) row[band.shift(o) + t] = value(o, t);
  }
  return {memory, stride, 1};
}

// Some queries of a sequence.
struct QueryBlock {
  int64_t begin, queries, length;
};

inline DistanceBand band_of(const Distances& distances, const QueryBlock& block) {
  return {distances.longest, block.begin, block.queries, 0, block.length};
}

// products[i, j] += x_i . E, rows of `stride` numbers.
inline void add_distance_products(const Distances& distances, const QueryBlock& block, const Strided& x, float* memory, float* products,
                                  int64_t stride) {
  for_distance_products(distances.of_queries, band_of(distances, block), x, memory, [&](int64_t i, const float* more) {
    float* const row = products + i * stride;
    for_lanes(block.length, [&](int64_t j, int n) { store_n(row + j, load_n(row + j, n) + load_n(more + j, n), n); });
  });
}

// scores[i, j] += q_i . E + scale k_j . E, rows of `stride` numbers; the queries have been scaled.
inline void add_distance_scores(const Distances& distances, const QueryBlock& block, const Strided& q, const Panels& k_transposed,
                                float scale, float* memory, float* scores, int64_t stride) {
  add_distance_products(distances, block, q, memory, scores, stride);
  for (int64_t p = 0; distances.are_of_keys() && p < k_transposed.count(); ++p) {
    const int64_t first_key = p * kPanelColumns;
    const DistanceBand of_keys(distances.longest, first_key, std::min(kPanelColumns, block.length - first_key), block.begin, block.queries);
    for_distance_products(distances.of_keys, of_keys, {k_transposed.panel(p), 1, k_transposed.width(p)}, memory,
                          [&](int64_t key, const float* products) {
                            for (int64_t i = 0; i < block.queries; ++i) scores[i * stride + first_key + key] += scale * products[i];
                          });
  }
}

// The weights [queries, stride] of pairs, by distance: [queries, size of the band].
inline Strided by_distance_of(const Distances& distances, const QueryBlock& block, const float* weights, int64_t stride, float* memory) {
  return spread_over_distances(band_of(distances, block), memory, [&](int64_t i, int64_t j) { return weights[i * stride + j]; });
}

// sums[i] += the sum over j of the weight of the pair times E, rows of padded columns.
inline void add_weighted_distances(const Distances& distances, const QueryBlock& block, const Strided& by_distance, float* sums) {
  const DistanceBand band = band_of(distances, block);
  const Panels rows = distances.of_queries.rows.rows_from(band.first, band.size);
  multiply(block.queries, by_distance, rows, sums, rows.columns, true);
}

// d_distances [2 length - 1, D], of distances length - 1 .. 1 - length, padded columns: adds to each the sum over its pairs of the weight
// times x_i.
inline void add_weighted_rows(const Distances& distances, const QueryBlock& block, const Strided& by_distance, const Panels& x,
                              float* d_distances) {
  const DistanceBand band = band_of(distances, block);
  const int64_t first = band.first - (distances.longest - block.length);
  multiply(band.size, {by_distance.data, 1, by_distance.row_stride}, x, d_distances + first * x.columns, x.columns, true);
}

// What the scores' gradients [queries, stride] give to queries (still to be scaled), keys, and embeddings: d_q [queries, D], d_k [length,
// D], and d_distances, as in add_weighted_rows; all with padded columns. The queries q have been scaled.
inline void add_distance_gradients(const Distances& distances, const QueryBlock& block, const float* d_scores, int64_t stride,
                                   const Panels& q, const Panels& k, float scale, float* memory, float* d_q, float* d_k,
                                   float* d_distances) {
  const int64_t columns = q.columns;
  const Strided by_distance = by_distance_of(distances, block, d_scores, stride, memory);
  add_weighted_distances(distances, block, by_distance, d_q);
  add_weighted_rows(distances, block, by_distance, q, d_distances);
  for (int64_t first_key = 0; distances.are_of_keys() && first_key < block.length; first_key += kPanelColumns) {
    const DistanceBand of_keys(distances.longest, first_key, std::min(kPanelColumns, block.length - first_key), block.begin, block.queries);
    const Strided of_key =
        spread_over_distances(of_keys, memory, [&](int64_t key, int64_t i) { return scale * d_scores[i * stride + first_key + key]; });
    multiply(of_keys.own, of_key, distances.of_keys.rows.rows_from(of_keys.first, of_keys.size), d_k + first_key * columns, columns, true);
    const int64_t last = distances.longest + block.length - 2 - of_keys.first;  // these distances rise: backwards
    multiply(of_keys.size, {of_key.data, 1, of_key.row_stride}, k.rows_from(first_key, of_keys.own), d_distances + last * columns, -columns,
             true);
  }
}

}  // namespace
}  // namespace mpibert::cpu
