#include <algorithm>

#include "mpibert/base/error.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/masked_lanes.h"
#include "ops/cpu/norm.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

void check_ids(const char* name, const Tensor& ids, int64_t table_rows) {
  for (const int32_t id : ids.span<int32_t>())
    MPIBERT_CHECK(id >= 0 && id < table_rows, kInvalidArgument, "embedding: ", name, ": expected 0 to ", table_rows - 1, ", found ", id);
}

template <class Op>
void check_all_ids(const Op& op, const Tensor& word, const Tensor& position, const Tensor& token_type) {
  check_ids("input_ids", op.input_ids, word.shape()[0]);
  if (position) check_ids("position_ids", op.position_ids, position.shape()[0]);
  check_ids("token_type_ids", op.token_type_ids, token_type.shape()[0]);
}

template <class T>
void forward(const EmbeddingForward& op) {
  const int64_t hidden = op.sum.shape()[1];
  const DropoutMask mask(op.dropout);
  const T *weight = data<T>(op.weight), *bias = data<T>(op.bias);
  float *mean = data<float>(op.mean), *rstd = data<float>(op.rstd);
  parallel_rows(op.sum.shape()[0], hidden, [&](int64_t row) {
    const T* word = data<T>(op.word) + data<int32_t>(op.input_ids)[row] * hidden;
    const T* position = op.position ? data<T>(op.position) + data<int32_t>(op.position_ids)[row] * hidden : nullptr;
    const T* token_type = data<T>(op.token_type) + data<int32_t>(op.token_type_ids)[row] * hidden;
    T* sum = data<T>(op.sum) + row * hidden;
    for_lanes(hidden, [&](int64_t i, int n) {
      const Vec placed = position != nullptr ? load_n(word + i, n) + load_n(position + i, n) : load_n(word + i, n);
      store_n(sum + i, placed + load_n(token_type + i, n), n);
    });
    if (!op.weight) return;
    T* output = data<T>(op.output) + row * hidden;
    const Moments m = moments(sum, hidden, op.epsilon);
    mean[row] = m.mean;
    rstd[row] = m.rstd;
    for_masked_lanes(mask, row, hidden, [&](int64_t i, int n, uint64_t bits) {
      const Vec y = normalized(sum + i, m, n) * load_n(weight + i, n) + load_n(bias + i, n);
      store_n(output + i, keep(y * mask.scale(), bits), n);
    });
  });
}

// The gradient of the sums, into op.scratch; the gradients of weight and bias.
template <class T>
void norm_backward(const EmbeddingBackward& op, Workspace& workspace) {
  const int64_t hidden = op.gradient.shape()[1], stride = padded(hidden);
  const RowBlocks blocks(op.gradient.shape()[0]);
  const DropoutMask mask(op.dropout);
  float* partials = workspace.get<float>(blocks.count * 3 * stride);  // of each block: d_weight, d_bias, one row of masked gradient
  parallel_rows(blocks.count, blocks.block * hidden, [&](int64_t block) {
    float *d_weight = partials + block * 3 * stride, *d_bias = d_weight + stride, *masked = d_bias + stride;
    std::fill_n(d_weight, 2 * stride, 0.0f);
    for (int64_t row = blocks.begin(block); row < blocks.end(block); ++row) {
      const T* gradient = data<T>(op.gradient) + row * hidden;
      T* d_sum = data<T>(op.scratch) + row * hidden;
      for_masked_lanes(mask, row, hidden,
                       [&](int64_t i, int n, uint64_t bits) { store(masked + i, keep(load_n(gradient + i, n) * mask.scale(), bits)); });
      norm_backward_row(masked, data<T>(op.sum) + row * hidden, {data<float>(op.mean)[row], data<float>(op.rstd)[row]}, data<T>(op.weight),
                        hidden, d_weight, d_bias, [&](int64_t i, int n, Vec dz) { store_n(d_sum + i, dz, n); });
    }
  });
  add_partials(partials, blocks.count, hidden, 3 * stride, data<float>(op.d_weight));
  add_partials(partials + stride, blocks.count, hidden, 3 * stride, data<float>(op.d_bias));
}

// Columns begin .. end of the tokens order[first .. last), which all have one id, go to that id's row of the table.
struct Task {
  int32_t id, first, last;
  int64_t begin, end;
};

// table[ids[t]] += rows[t], for all tokens t. The tokens are sorted by id with a counting sort, which keeps the order of those of one id;
// threads share the ids, and the columns of the few that very many tokens have (the token types, [MASK], "the").
template <class T>
void add_by_id(const Tensor& ids, const Tensor& rows, const Tensor& table, Workspace& workspace) {
  constexpr int32_t kMany = 64;
  constexpr int64_t kStrip = 64;
  const int64_t tokens = rows.shape()[0], hidden = rows.shape()[1], table_rows = table.shape()[0];
  const int64_t max_tasks = tokens + (tokens / kMany + 1) * (hidden / kStrip + 1);
  auto* tasks = workspace.get<Task>(max_tasks + ((table_rows + 1 + tokens) * 4) / static_cast<int64_t>(sizeof(Task)) + 1);
  auto* starts = reinterpret_cast<int32_t*>(tasks + max_tasks);  // after the counting: where the tokens of an id end
  int32_t* order = starts + table_rows + 1;

  const auto id_of = ids.span<int32_t>();
  std::fill_n(starts, table_rows + 1, 0);
  for (const int32_t id : id_of) ++starts[id + 1];
  for (int64_t id = 0; id < table_rows; ++id) starts[id + 1] += starts[id];
  for (int32_t t = 0; t < tokens; ++t) order[starts[id_of[static_cast<size_t>(t)]]++] = t;

  int64_t count = 0;
  for (int32_t id = 0, first = 0; id < table_rows; first = starts[id++]) {
    const int32_t last = starts[id];
    if (first == last) continue;
    const int64_t strip = last - first < kMany ? hidden : kStrip;
    for (int64_t begin = 0; begin < hidden; begin += strip) tasks[count++] = {id, first, last, begin, std::min(begin + strip, hidden)};
  }

#pragma omp parallel for schedule(dynamic, 4) if (tokens * hidden > kSerialElements)
  for (int64_t k = 0; k < count; ++k) {
    const Task task = tasks[k];
    float* to = data<float>(table) + task.id * hidden + task.begin;
    for (int32_t t = task.first; t < task.last; ++t) {
      const T* from = data<T>(rows) + order[t] * hidden + task.begin;
      for_lanes(task.end - task.begin, [&](int64_t i, int n) { store_n(to + i, load_n(to + i, n) + load_n(from + i, n), n); });
    }
  }
}

}  // namespace

void embedding_forward(const EmbeddingForward& op) {
  check_all_ids(op, op.word, op.position, op.token_type);
  with_element(op.sum.dtype(), [&]<class T>(T) { forward<T>(op); });
}

void embedding_backward(const EmbeddingBackward& op, Workspace& workspace) {
  check_all_ids(op, op.d_word, op.d_position, op.d_token_type);
  const Tensor& d_sum = op.weight ? op.scratch : op.gradient;
  with_element(op.gradient.dtype(), [&]<class T>(T) {
    if (op.weight) norm_backward<T>(op, workspace);
    add_by_id<T>(op.input_ids, d_sum, op.d_word, workspace);
    if (op.d_position) add_by_id<T>(op.position_ids, d_sum, op.d_position, workspace);
    add_by_id<T>(op.token_type_ids, d_sum, op.d_token_type, workspace);
  });
}

}  // namespace mpibert::cpu
