#pragma once

// What the distance embeddings of AttentionForward add to a block of queries. As in Transformer-XL (Dai et al. 2019, arXiv:1901.02860, appendix B) the products of queries
// and embeddings are those of matrices, and a query's row of them is moved by its place.

#include <algorithm>

#include "ops/cpu/attention_panels.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {
namespace {

// The embeddings of distances S - 1 .. 1 - S, in this order, so that neighbouring keys of a query have neighbouring rows: query i and key j row S - 1 - i + j.
struct DistanceTable {
  int64_t longest = 0;  // S; 0: there are no embeddings
  Panels rows{}, transposed{};

  bool is_there() const { return longest > 0; }
  int64_t size() const { return std::max<int64_t>(0, 2 * longest - 1); }
  // Of a tensor [2P - 1, D], the row of the table's first embedding.
  int64_t row_of_first(const Tensor& embedding) const { return embedding.shape()[0] / 2 + longest - 1; }
};

template <class T>
DistanceTable load_distances(const Tensor& embedding, int64_t longest, Workspace& workspace) {
  DistanceTable table{.longest = longest};
  const int64_t head_size = embedding.shape()[1], columns = padded_columns(head_size), size = padded_columns(table.size());
  Pieces pieces(workspace.get<float>(2 * columns * size));
  table.rows = pieces.take(table.size(), columns);
  table.transposed = pieces.take(columns, size);
  load_rows(data<T>(embedding) + table.row_of_first(embedding) * head_size, -head_size, head_size, 1, table.rows);
  transpose_panels(table.rows, table.transposed);
  return table;
}

// The rows of the table that a block of queries of a sequence meets: `size` from `first` on. Row i of the block and key j have row shift(i) + j of these.
struct DistanceBand {
  int64_t queries, length, first, size;

  DistanceBand(const DistanceTable& table, int64_t sequence_length, int64_t begin, int64_t block)
      : queries(block), length(sequence_length), first(table.longest - begin - block), size(sequence_length + block - 1) {}
  int64_t shift(int64_t i) const { return queries - 1 - i; }
  // Numbers that add_distance_scores and spread_over_distances need for sequences up to this length.
  static int64_t memory(int64_t block, int64_t sequence_length) { return block * (padded_columns(sequence_length + block) + 2 * kPanelColumns); }
};

// scores[i, j] += query i . embedding of its distance to key j
inline void add_distance_scores(const DistanceTable& table, const DistanceBand& band, const Strided& queries, float* memory, float* scores, int64_t keys) {
  const Panels panels = table.transposed.panels_of(band.first, band.first + band.size);
  multiply(band.queries, queries, panels, memory, panels.columns, false);
  for (int64_t i = 0; i < band.queries; ++i) {
    const float* products = memory + i * panels.columns + band.first % kPanelColumns + band.shift(i);
    for_lanes(band.length, [&](int64_t j, int n) { store_n(scores + i * keys + j, load(scores + i * keys + j) + load_n(products + j, n), n); });
  }
}

// The scores' gradients, each in the column of its distance: [queries, size], zero elsewhere.
inline Strided spread_over_distances(const DistanceBand& band, const float* d_scores, int64_t keys, float* memory) {
  const int64_t stride = padded_columns(band.size);
  for (int64_t i = 0; i < band.queries; ++i) {
    float* const row = memory + i * stride;
    std::fill_n(row, band.size, 0.0f);
    std::copy_n(d_scores + i * keys, band.length, row + band.shift(i));
  }
  return {memory, stride, 1};
}

}  // namespace
}  // namespace mpibert::cpu
