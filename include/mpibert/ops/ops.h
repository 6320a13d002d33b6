#pragma once

// The arguments of every operation a Backend has: inputs first, then settings, then outputs. Shapes come from the tensors.
// Letters: T tokens of a batch (packed, no padding), B sequences, S longest sequence, H hidden, A heads, D = H / A, I intermediate,
// V vocabulary, P masked positions, N parameters. "compute" is fp32, bf16 or, on cards only, fp16: the same for all such tensors of one
// call; every sum is accumulated in fp32 or wider, in an order that does not depend on the number of threads. All operations throw
// kInvalidArgument unless shapes, element types and devices are as stated here. They are queued in order; the host does not wait.

#include <cstdint>
#include <span>

#include "mpibert/ops/step_state.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Inverted dropout: element (token t, column c) becomes x / (1 - p) where its 16 random bits are >= threshold, else 0.
//   threshold = round(rate * 65536), p = threshold / 65536
//   bits: half c % 2 (0 = low) of word (c % 8) / 2 of philox4x32_10({c / 8, token_keys[t], 0x80000000 | site, step mod 2^32}, key(seed))
// Nothing is stored: backward makes the same mask again. A token's key is its sequence's position in the global batch times
// max_position_embeddings plus its index in the sequence, so the mask depends neither on ranks nor on packing.
struct Dropout {
  float rate = 0;       // 0: no dropout; state and token_keys unused
  uint32_t site = 0;    // which dropout of the model
  Tensor state{};       // one StepState, as bytes: [sizeof(StepState)] uint8
  Tensor token_keys{};  // [rows] int32
};

// kGelu is x * Phi(x) by erf ("gelu" of config.json); kGeluTanh the tanh approximation ("gelu_new", "gelu_pytorch_tanh"): they differ by up
// to 5e-4. Source: Hendrycks, Gimpel 2016, arXiv:1606.08415.
enum class Activation : uint8_t { kNone, kGelu, kGeluTanh, kRelu, kTanh };

// c = alpha * op(a) op(b) + beta * c + bias;  then, if derivative_at: c = c * activation'(derivative_at);  if activated: activated =
// activation(c)
//   a [M, K] ([K, M] if transpose_a)   b [K, N] ([N, K] if transpose_b)   bias [N] compute, optional
//   c [M, N] compute, or fp32 with bf16 or fp16 a and b   derivative_at [M, N] compute, optional   activated [M, N] compute, optional
//   row_sums [M] fp32, optional, with transpose_a only: row_sums[i] += sum over k of op(a)[i, k]; of a layer's gradient that of its bias
// At most one of derivative_at and activated; `activation` is kNone without either. activation(c) is of c as it is stored; cards may fuse
// kGeluTanh of 16-bit numbers into the product: then it is of the sum before its rounding u, within 1.13 u |c| of that, and tanh is the
// hardware's, good to 2^-11.
struct Matmul {
  Tensor a{}, b{}, bias{};
  bool transpose_a = false, transpose_b = false;
  float alpha = 1, beta = 0;
  Activation activation = Activation::kNone;
  Tensor derivative_at{};
  Tensor c{}, activated{}, row_sums{};
};

// d_input = gradient * activation'(input), element by element. All of one shape, compute; d_input may alias gradient.
struct ActivationBackward {
  Tensor gradient{}, input{};
  Activation activation = Activation::kGelu;
  Tensor d_input{};
};

// sum = word[input_ids] + position[position_ids] + token_type[token_type_ids];  output = dropout(layer_norm(sum))
// Without weight the sum is all there is: bias, dropout, output, mean and rstd stay empty too.
//   input_ids, token_type_ids, position_ids [T] int32   word [V, H], position [positions, H] (optional: no summand without it),
//   token_type [types, H], weight, bias [H] compute
//   sum, output [T, H] compute   mean, rstd [T] fp32
// An id outside its table is kInvalidArgument on the CPU (the loader has checked it before).
struct EmbeddingForward {
  Tensor input_ids{}, token_type_ids{}, position_ids{};
  Tensor word{}, position{}, token_type{}, weight{}, bias{};
  float epsilon = 1e-12f;
  Dropout dropout{};
  Tensor sum{}, output{}, mean{}, rstd{};
};

// The gradients of EmbeddingForward, added to fp32 ones. Rows of one id are added in the order of their tokens. Without weight `gradient`
// is that of the sum, and sum, mean, rstd, dropout, scratch, d_weight and d_bias stay empty.
//   gradient, sum [T, H] compute   d_word [V, H], d_position (optional: none is wanted), d_token_type, d_weight, d_bias fp32
//   scratch [T, H] compute
struct EmbeddingBackward {
  Tensor gradient{}, sum{}, mean{}, rstd{};
  Tensor input_ids{}, token_type_ids{}, position_ids{}, weight{};
  Dropout dropout{};
  Tensor scratch{};
  Tensor d_word{}, d_position{}, d_token_type{}, d_weight{}, d_bias{};
};

// output = weight * (z - mean(z)) / sqrt(var(z) + epsilon) + bias,  z = dropout(input) + residual
// Source: Ba, Kiros, Hinton 2016, arXiv:1607.06450; variance in two passes, fp32.
//   input, residual (optional), output, sum [T, H] compute   weight, bias [H] compute   mean, rstd [T] fp32
// sum (z) may alias input, and may be left out where there is neither residual nor dropout.
struct LayerNormForward {
  Tensor input{}, residual{}, weight{}, bias{};
  float epsilon = 1e-12f;
  Dropout dropout{};
  Tensor sum{}, output{}, mean{}, rstd{};
};

// The gradients of LayerNormForward: d_residual = dz, d_input = dropout mask * dz; weight and bias gradients are added to fp32 ones.
//   gradient, sum (z) [T, H] compute   d_input, d_residual [T, H] compute   d_weight, d_bias [H] fp32
// d_residual is optional; d_input or d_residual may alias gradient; without dropout they may alias each other.
struct LayerNormBackward {
  Tensor gradient{}, sum{}, mean{}, rstd{}, weight{};
  Dropout dropout{};
  Tensor d_input{}, d_residual{}, d_weight{}, d_bias{};
};

// What the distance embeddings E of an attention add to, e = E(i - j) for query i and key j:
//   kQueries           score += q . e                and E is 0 from distance P on
//   kQueriesAndKeys    score += q . e + k . e        likewise
//   kQueriesAndValues  score += q . e, value += e    and E is that of P - 1 or 1 - P from there on
// Sources: Shaw, Uszkoreit, Vaswani 2018, arXiv:1803.02155, is kQueriesAndValues, with one E for both as MindSpore's use_relative_positions
// has it, and for queries alone and not clipped "relative_key" of transformers; "relative_key_query" is method 4 of Huang, Liang, Xu, Xiang
// 2020, arXiv:2009.13658.
enum class DistanceUse : uint8_t { kQueries, kQueriesAndKeys, kQueriesAndValues };

// context = dropout(softmax(scores / sqrt(D))) values, each token attending to its own sequence only, with scores[i, j] = q_i . k_j and the
// values v_j, and what distance embeddings add to both.
//   qkv [T, 3, A, D] compute   distance_embedding [2P - 1, D] compute, optional: E(d) is row d + P - 1; all heads share it
//   cu_seqlens [B+1] int32, ascending, 0 .. T   context [T, A, D] compute
//   saved: [Backend::attention_saved_bytes(T, A, D, S)] uint8, opaque; what backward needs
// Dropout: the row is the query's token, the column of head a and the sequence's key j is a * 65536 + j.
struct AttentionForward {
  Tensor qkv{}, distance_embedding{}, cu_seqlens{};
  DistanceUse distance_use = DistanceUse::kQueries;  // another with distance_embedding only
  int64_t max_seq_length = 0;
  Dropout dropout{};
  Tensor context{}, saved{};
};

// The gradients of AttentionForward; that of the distance embeddings is added to fp32 ones, in an order of the batch's shape alone.
//   gradient, context [T, A, D], qkv, d_qkv [T, 3, A, D] compute   d_distance_embedding [2P - 1, D] fp32, with distance_embedding only
struct AttentionBackward {
  Tensor gradient{}, qkv{}, distance_embedding{}, context{}, cu_seqlens{}, saved{};
  DistanceUse distance_use = DistanceUse::kQueries;
  int64_t max_seq_length = 0;
  Dropout dropout{};
  Tensor d_qkv{}, d_distance_embedding{};
};

// output = dropout(input), and of gradients its own backward. [rows, H] compute; output may alias input.
struct DropoutApply {
  Tensor input{};
  Dropout dropout{};
  Tensor output{};
};

// output[i] = input[indices[i]].   input [T, H], output [P, H] compute   indices [P] int32 in 0 .. T-1
struct GatherRows {
  Tensor input{}, indices{}, output{};
};

// output[indices[i]] += input[i].   input [P, H], output [T, H] compute   indices [P] int32, all different
struct ScatterRows {
  Tensor input{}, indices{}, output{};
};

// loss_sum += sum_i sum_c target_i[c] * -log softmax(logits[i])[c],  target_i = (1 - smoothing) onehot(labels[i]) + smoothing / C;
// correct += number of rows whose first largest logit is the label;
// then logits = (softmax(logits) - target) * state.loss_weights[term] * state.loss_scale, in place, if `backward`. A row with a negative
// label counts for nothing.
//   logits [rows, C] compute   labels [rows] int32   loss_sum, correct [1] fp32
// Source of the smoothing: Szegedy et al. 2015, arXiv:1512.00567, section 7.
struct CrossEntropy {
  Tensor logits{}, labels{}, state{};
  int term = 0;
  float smoothing = 0;  // 0 <= smoothing < 1
  bool backward = true;
  Tensor loss_sum{}, correct{};
};

// Cross-entropy over places of sequences of any length: of sequence b the numbers x = logits[cu_seqlens[b] .. cu_seqlens[b + 1] - 1,
// column].
//   loss_sum += sum_b -log softmax(x)[labels[b]];  correct += number of sequences whose first largest x is at the label;
// then x = (softmax(x) - onehot(labels[b])) * state.loss_weights[term] * state.loss_scale, in place, if `backward`. The other columns stay
// as they are. A sequence with a negative label counts for nothing; a label is less than the length of its sequence. Source: Devlin et al.
// 2018, arXiv:1810.04805, section 4.2: where an answer starts (one column) and ends (another).
//   logits [T, C] compute   cu_seqlens [B+1] int32, ascending, 0 .. T   labels [B] int32   loss_sum, correct [1] fp32
struct SpanCrossEntropy {
  Tensor logits{}, cu_seqlens{}, labels{}, state{};
  int64_t column = 0;
  int term = 0;
  bool backward = true;
  Tensor loss_sum{}, correct{};
};

// loss_sum += sum_i (logits[i] - labels[i])^2;  then logits = 2 (logits - labels) * state.loss_weights[term] * state.loss_scale, in place,
// if `backward`. A row whose label is NaN counts for nothing.
//   logits [rows, 1] compute   labels [rows] fp32   loss_sum [1] fp32
struct SquaredError {
  Tensor logits{}, labels{}, state{};
  int term = 0;
  bool backward = true;
  Tensor loss_sum{};
};

// output[n] += sum over rows of input[row, n].   input [rows, N] compute   output [N] fp32
struct ColumnSum {
  Tensor input{}, output{};
};

// A range of the flat parameters, in elements.
struct Range {
  int64_t begin = 0, end = 0;
};

// output[i] = sum of squares of input[ranges[i]], in double; many ranges of some thousand elements are what it is made for.
//   input [n] fp32   ranges [16 * count] uint8, Range as bytes, on the device; trusted to lie in input   output [count] fp64
// The sum over an empty range is 0. An infinity or NaN in a range makes its sum infinite or NaN; finite inputs never do.
struct SquareSums {
  Tensor input{}, ranges{}, output{};
};

// What becomes of a step, from the squares of its summed gradient, cell by cell:
//   gradient_norm = sqrt(sum of squares) / loss_scale, and the step is applied if that is finite; then, in `state`,
//   gradient_scale = min(1, max_grad_norm / gradient_norm) / loss_scale   ++applied_steps, which is t   bias corrections of t
//   (otherwise ++skipped_steps and no more), and the loss scale of the next step: LossScaleOptions.
//   squares [cells] fp64   state: in and out
struct StepDecision {
  Tensor squares{};
  StepRule rule{};
  Tensor state{};
};

// How Adam treats weight decay wd and epsilon, with m and v the corrected moments, b2 = bias_correction2:
//   kAdam    g += wd * w first (L2);     w -= lr * m / (sqrt(v) + epsilon)                   torch.optim.Adam
//   kAdamW   w -= lr * wd * w first;     w -= lr * m / (sqrt(v) + epsilon)                   torch.optim.AdamW
//   kAdamWHf w -= lr * m * sqrt(b2) / (sqrt(v * b2) + epsilon), then w -= lr * wd * w        transformers' AdamW,
//                                                                                            Google's without correction
// Sources: Kingma, Ba 2014, arXiv:1412.6980; Loshchilov, Hutter 2017, arXiv:1711.05101.
enum class AdamKind : uint8_t { kAdam, kAdamW, kAdamWHf };

// One range of the flat parameters: moments, update, new master and new value in one pass. A step takes all ranges at once: they may differ
// in their tensors, rate and weight decay only, and do not overlap. lr is state.learning_rate * rate.
//   gradient, exp_avg, exp_avg_sq, master [n] fp32   value [n] compute, may alias master
//   state: StepState (rate, corrections, gradient_scale)
// Nothing is written where state.applied is 0; so it is for LAMB too.
struct AdamStep {
  Tensor gradient{}, state{};
  AdamKind kind = AdamKind::kAdamW;
  double beta1 = 0.9, beta2 = 0.999;  // doubles: 1 - 0.999f is 1e-5 away from 0.001
  float epsilon = 1e-8f, rate = 1, weight_decay = 0;
  Tensor exp_avg{}, exp_avg_sq{}, master{}, value{};
};

// LAMB's direction of one range (of many, as above): u = m / (sqrt(v) + epsilon) + wd * w, written over the gradient (m, v corrected).
//   m' = beta1 m + beta3 g,  beta3 = 1 - beta1
// Source: You et al. 2019, arXiv:1904.00962v5, algorithm 2.
struct LambDirection {
  Tensor gradient{}, state{};  // gradient: in and out
  double beta1 = 0.9, beta2 = 0.999;
  float epsilon = 1e-6f, weight_decay = 0;
  Tensor exp_avg{}, exp_avg_sq{}, master{};
};

// LAMB's ratio of each parameter s, of cells first_cells[s] to first_cells[s + 1]:
//   ratios[s] = sqrt(sum of weights) / sqrt(sum of directions) where adapts[s] and both are above 0, else 1
//   weights, directions [cells] fp64: squares   first_cells [parameters + 1] int64, ascending   adapts [parameters] uint8
//   ratios [parameters] fp32
struct TrustRatios {
  Tensor weights{}, directions{}, first_cells{}, adapts{};
  Tensor ratios{};
};

// w -= state.learning_rate * rate * trust_ratio * direction; the second half of LAMB, of many ranges as above.   trust_ratio [1] fp32
struct LambApply {
  Tensor direction{}, state{}, trust_ratio{};
  float rate = 1;
  Tensor master{}, value{};
};

// c = a + b.   [n] fp32; c may alias a or b. One node of the slot tree.
struct Add {
  Tensor a{}, b{}, c{};
};

// output = input in another precision, rounded to nearest even.   [n]
struct Cast {
  Tensor input{}, output{};
};

}  // namespace mpibert
