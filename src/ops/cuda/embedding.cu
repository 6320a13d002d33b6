#include <algorithm>
#include <utility>

#include "ops/cuda/norm.h"

namespace mpibert::cuda {
namespace {

template <class T>
__global__ void forward_kernel(const int32_t* input_ids, const int32_t* position_ids, const int32_t* token_type_ids, const T* word,
                               const T* position, const T* token_type, const T* weight, const T* bias, float epsilon, int64_t tokens,
                               int64_t hidden, DropoutArguments dropout, T* sum, T* output, float* mean, float* rstd) {
  const DropoutMask mask(dropout);
  const int64_t token = row_of_warp(), offset = token * hidden;
  if (token >= tokens) return;
  const T *w = word + input_ids[token] * hidden, *p = position != nullptr ? position + position_ids[token] * hidden : nullptr,
          *t = token_type + token_type_ids[token] * hidden;
  for_octets(hidden, [&](int64_t begin, int n) {
    Octet x = load_octet(w + begin, n);
    const Octet z = load_octet(t + begin, n);
    if (p != nullptr) {
      const Octet y = load_octet(p + begin, n);
      for (int i = 0; i < kOctet; ++i) x[i] += y[i];
    }
    for (int i = 0; i < kOctet; ++i) x[i] += z[i];
    store_octet(sum + offset + begin, x, n);
  });
  if (weight == nullptr) return;
  const Moments m = moments(sum + offset, hidden, epsilon);
  for_octets(hidden, [&](int64_t begin, int n) {
    Octet y = norm_forward<T>(sum + offset, m, weight, bias, begin, n);
    drop(mask, token, begin, y);
    store_octet(output + offset + begin, y, n);
  });
  if (lane_of_warp() == 0) {
    mean[token] = m.mean;
    rstd[token] = m.rstd;
  }
}

// The gradient of the sums.
template <class T>
__global__ void backward_kernel(const T* gradient, const T* sum, const float* mean, const float* rstd, const T* weight, int64_t tokens,
                                int64_t hidden, DropoutArguments dropout, T* d_sum) {
  const DropoutMask mask(dropout);
  const int64_t token = row_of_warp(), offset = token * hidden;
  if (token >= tokens) return;
  const auto masked_gradient = [&](int64_t begin, int n) {
    Octet g = load_octet(gradient + offset + begin, n);
    drop(mask, token, begin, g);
    return g;
  };
  norm_backward(masked_gradient, sum + offset, {mean[token], rstd[token]}, weight, hidden,
                [&](int64_t begin, int n, const Octet& dz) { store_octet(d_sum + offset + begin, dz, n); });
}

// Tokens in the order of their ids, those of one id in their own order: a radix sort from the lowest digit on, a byte a pass. A block has a
// thread for each digit and works on a chunk of tokens; a thread goes through the whole chunk and picks out its digit, so that the sort is
// stable without atomics. A pass reads shared memory 2 * 256 T times and the counts 256 (T / kSortChunk)^2 times: 8 million and 0.3 million
// for T = 16,384.
constexpr int kDigits = 256;
constexpr int kSortChunk = 512;

// The chunk's tokens, in the order of the last pass (order is null in the first one), and their digits.
__device__ inline int load_chunk(const int32_t* ids, const int32_t* order, int64_t tokens, int shift, int32_t* token_of,
                                 uint8_t* digit_of) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kSortChunk;
  const int count = static_cast<int>(std::min<int64_t>(kSortChunk, tokens - first));
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kDigits) {
    const int32_t token = order != nullptr ? order[first + i] : static_cast<int32_t>(first + i);
    token_of[i] = token;
    digit_of[i] = static_cast<uint8_t>((ids[token] >> shift) % kDigits);
  }
  __syncthreads();
  return count;
}

// counts[chunk][digit]
__global__ void count_digits_kernel(const int32_t* ids, const int32_t* order, int64_t tokens, int shift, int32_t* counts) {
  __shared__ int32_t token_of[kSortChunk];
  __shared__ uint8_t digit_of[kSortChunk];
  const int size = load_chunk(ids, order, tokens, shift, token_of, digit_of), digit = static_cast<int>(threadIdx.x);
  int32_t count = 0;
  for (int i = 0; i < size; ++i) count += digit_of[i] == digit ? 1 : 0;
  counts[static_cast<int64_t>(blockIdx.x) * kDigits + digit] = count;
}

__global__ void order_by_digit_kernel(const int32_t* ids, const int32_t* order, int64_t tokens, int shift, const int32_t* counts,
                                      int32_t* sorted) {
  __shared__ int32_t token_of[kSortChunk], totals[kDigits];
  __shared__ uint8_t digit_of[kSortChunk];
  const int size = load_chunk(ids, order, tokens, shift, token_of, digit_of), digit = static_cast<int>(threadIdx.x);
  int32_t total = 0, to = 0;  // tokens with this digit; where this chunk's first one goes
  for (unsigned chunk = 0; chunk < gridDim.x; ++chunk) {
    if (chunk == blockIdx.x) to = total;
    total += counts[static_cast<int64_t>(chunk) * kDigits + digit];
  }
  totals[digit] = total;
  __syncthreads();
  for (int lower = 0; lower < digit; ++lower) to += totals[lower];
  for (int i = 0; i < size; ++i)
    if (digit_of[i] == digit) sorted[to++] = token_of[i];
}

// In the workspace, valid until its next use.
const int32_t* order_by_id(const int32_t* ids, int64_t tokens, int64_t table_rows, const Context& context) {
  const int64_t chunks = (tokens + kSortChunk - 1) / kSortChunk;
  int32_t* const counts = context.workspace.get<int32_t>(chunks * kDigits + 2 * tokens);
  int32_t *sorted = counts + chunks * kDigits, *spare = sorted + tokens;
  const int32_t* order = nullptr;
  const LaunchShape shape = {.grid = dim3(static_cast<unsigned>(chunks)), .block = dim3(kDigits)};
  int shift = 0;
  do {
    launch(shape, context.stream, count_digits_kernel, ids, order, tokens, shift, counts);
    launch(shape, context.stream, order_by_digit_kernel, ids, order, tokens, shift, counts, sorted);
    order = sorted;
    std::swap(sorted, spare);
    shift += 8;
  } while (((table_rows - 1) >> shift) > 0);
  return order;
}

constexpr int kTableThreads = 256;

// table[ids[t]] += rows[t]. Block x does nothing unless the token at place x of the order is the first one with its id; then it adds all
// those of the id, one after another, a thread a column.
template <class T>
__global__ void add_by_id_kernel(const int32_t* ids, const int32_t* order, const T* rows, int64_t tokens, int64_t hidden, float* table) {
  __shared__ int32_t token_of[kTableThreads];
  __shared__ int scratch[kWarp];
  int64_t place = blockIdx.x;
  const int32_t id = ids[order[place]];
  if (place > 0 && ids[order[place - 1]] == id) return;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kTableThreads + threadIdx.x;
  const bool inside = column < hidden;
  float* const to = table + id * hidden + column;
  float sum = inside ? *to : 0.0f;
  for (int count = kTableThreads; count == kTableThreads; place += kTableThreads) {
    const int64_t mine = place + threadIdx.x;
    const int32_t token = mine < tokens ? order[mine] : -1;
    token_of[threadIdx.x] = token;
    count = block_reduce<Sum>(token >= 0 && ids[token] == id ? 1 : 0, scratch);
    for (int i = 0; inside && i < count; ++i) sum += load(rows + token_of[i] * hidden + column);
    __syncthreads();
  }
  if (inside) *to = sum;
}

template <class T>
void add_by_id(const Tensor& ids, const Tensor& rows, const Tensor& table, const Context& context) {
  const int64_t tokens = rows.shape()[0], hidden = rows.shape()[1], strips = (hidden + kTableThreads - 1) / kTableThreads;
  const int32_t* const order = order_by_id(data<int32_t>(ids), tokens, table.shape()[0], context);
  launch({.grid = dim3(static_cast<unsigned>(tokens), static_cast<unsigned>(strips)), .block = dim3(kTableThreads)}, context.stream,
         add_by_id_kernel<T>, data<int32_t>(ids), order, data<T>(rows), tokens, hidden, data<float>(table));
}

// For tables of a few rows, where one id has too many tokens to be added one after another.
constexpr int64_t kFewRows = 8;

// partials[chunk][table_rows][H] = the sums of the chunk's rows by id.
template <class T>
__global__ void table_partials_kernel(const int32_t* ids, const T* rows, int64_t tokens, int64_t hidden, int64_t table_rows,
                                      float* partials) {
  __shared__ float sums[kFewRows][kTableThreads];
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kTableThreads + threadIdx.x;
  if (column >= hidden) return;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kChunkRows, last = std::min(first + kChunkRows, tokens);
  for (int64_t id = 0; id < table_rows; ++id) sums[id][threadIdx.x] = 0;
  for (int64_t token = first; token < last; ++token) sums[ids[token]][threadIdx.x] += load(rows + token * hidden + column);
  for (int64_t id = 0; id < table_rows; ++id) partials[(blockIdx.x * table_rows + id) * hidden + column] = sums[id][threadIdx.x];
}

template <class T>
void add_to_few_rows(const Tensor& ids, const Tensor& rows, const Tensor& table, const Context& context) {
  const int64_t tokens = rows.shape()[0], hidden = rows.shape()[1], size = table.size();
  const int64_t chunks = (tokens + kChunkRows - 1) / kChunkRows, strips = (hidden + kTableThreads - 1) / kTableThreads;
  float* const partials = context.workspace.get<float>(chunks * size);
  launch({.grid = dim3(static_cast<unsigned>(chunks), static_cast<unsigned>(strips)), .block = dim3(kTableThreads)}, context.stream,
         table_partials_kernel<T>, data<int32_t>(ids), data<T>(rows), tokens, hidden, table.shape()[0], partials);
  add_partials(partials, chunks, size, size, data<float>(table), context.stream);
}

}  // namespace

void embedding_forward(const EmbeddingForward& op, const Context& context) {
  const int64_t tokens = op.sum.shape()[0], hidden = op.sum.shape()[1];
  with_element(op.sum.dtype(), [&]<class T>(T) {
    launch(norm_rows(tokens), context.stream, forward_kernel<T>, data<int32_t>(op.input_ids), data<int32_t>(op.position_ids),
           data<int32_t>(op.token_type_ids), data<T>(op.word), data<T>(op.position), data<T>(op.token_type), data<T>(op.weight),
           data<T>(op.bias), op.epsilon, tokens, hidden, dropout_arguments(op.dropout), data<T>(op.sum), data<T>(op.output),
           data<float>(op.mean), data<float>(op.rstd));
  });
}

void embedding_backward(const EmbeddingBackward& op, const Context& context) {
  const int64_t tokens = op.gradient.shape()[0], hidden = op.gradient.shape()[1];
  const DropoutArguments dropout = dropout_arguments(op.dropout);
  const Tensor& d_sum = op.weight ? op.scratch : op.gradient;
  with_element(op.gradient.dtype(), [&]<class T>(T) {
    if (op.weight) {
      norm_weight_gradients<T>(op, dropout, context);
      launch(norm_rows(tokens), context.stream, backward_kernel<T>, data<T>(op.gradient), data<T>(op.sum), data<float>(op.mean),
             data<float>(op.rstd), data<T>(op.weight), tokens, hidden, dropout, data<T>(op.scratch));
    }
    add_by_id<T>(op.input_ids, d_sum, op.d_word, context);
    if (op.d_position) add_by_id<T>(op.position_ids, d_sum, op.d_position, context);
    if (op.d_token_type.shape()[0] <= kFewRows) {
      add_to_few_rows<T>(op.token_type_ids, d_sum, op.d_token_type, context);
    } else {
      add_by_id<T>(op.token_type_ids, d_sum, op.d_token_type, context);
    }
  });
}

}  // namespace mpibert::cuda
