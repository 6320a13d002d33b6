#include <algorithm>
#include <cmath>

#include "tests/support/backends.h"
#include "tests/support/reference_dropout.h"
#include "tests/support/reference_norm.h"

namespace mpibert::test {
namespace {

struct Case {
  int64_t tokens, hidden, vocabulary, positions;
  float rate;
};
// The last one has ids with more tokens than one thread takes: they are shared by columns.
const Case kCases[] = {{1, 16, 3, 4, 0}, {7, 17, 11, 8, 0.1f}, {5, 33, 1, 5, 0.5f}, {300, 136, 9, 50, 0.1f}};
constexpr float kEpsilon = 1e-5f;
constexpr int64_t kTypes = 2;

class Embedding : public OpTest {
 protected:
  struct Problem {
    Case c;
    Numbers ids, types, positions;
    Numbers word, position, token_type, w, b;
    Tensor sum, output, mean, rstd;
  };

  static Numbers ids_below(int64_t count, int64_t n, uint64_t seed) {
    Numbers ids;
    for (const double x : random_numbers(count, seed, 1000)) ids.push_back(static_cast<double>(static_cast<int64_t>(std::abs(x)) % n));
    return ids;
  }

  Problem forward(const Case& c) {
    const auto table = [&](int64_t rows, uint64_t seed) { return rounded(random_numbers(rows * c.hidden, seed)); };
    const Shape shape = {c.tokens, c.hidden}, tokens = {c.tokens};
    Problem p = {c,
                 ids_below(c.tokens, c.vocabulary, 1),
                 ids_below(c.tokens, kTypes, 2),
                 ids_below(c.tokens, c.positions, 3),
                 table(c.vocabulary, 4),
                 table(c.positions, 5),
                 table(kTypes, 6),
                 rounded(random_numbers(c.hidden, 7)),
                 rounded(random_numbers(c.hidden, 8)),
                 empty(shape),
                 empty(shape),
                 empty(DType::kFloat32, tokens),
                 empty(DType::kFloat32, tokens)};
    backend().embedding_forward(operands(p));
    return p;
  }

  EmbeddingForward operands(const Problem& p) {
    const int64_t hidden = p.c.hidden;
    return {.input_ids = int32(p.ids),
            .token_type_ids = int32(p.types),
            .position_ids = int32(p.positions),
            .word = compute(p.word, {p.c.vocabulary, hidden}),
            .position = compute(p.position, {p.c.positions, hidden}),
            .token_type = compute(p.token_type, {kTypes, hidden}),
            .weight = compute(p.w, {hidden}),
            .bias = compute(p.b, {hidden}),
            .epsilon = kEpsilon,
            .dropout = dropout(p.c.rate, p.c.tokens),
            .sum = p.sum,
            .output = p.output,
            .mean = p.mean,
            .rstd = p.rstd};
  }

  EmbeddingBackward backward_operands(const Problem& p, const Tensor& gradient) {
    const int64_t hidden = p.c.hidden;
    const auto table = [&](int64_t rows) { return zeros(DType::kFloat32, {rows, hidden}); };
    return {.gradient = gradient,
            .sum = p.sum,
            .mean = p.mean,
            .rstd = p.rstd,
            .input_ids = int32(p.ids),
            .token_type_ids = int32(p.types),
            .position_ids = int32(p.positions),
            .weight = compute(p.w, {hidden}),
            .dropout = dropout(p.c.rate, p.c.tokens),
            .scratch = empty({p.c.tokens, hidden}),
            .d_word = table(p.c.vocabulary),
            .d_position = table(p.c.positions),
            .d_token_type = table(kTypes),
            .d_weight = zeros(DType::kFloat32, {hidden}),
            .d_bias = zeros(DType::kFloat32, {hidden})};
  }
};
MPIBERT_ON_EVERY_BACKEND(Embedding);

TEST_P(Embedding, ForwardMatchesTheReference) {
  for (const Case& c : kCases) {
    const Problem p = forward(c);
    const Numbers stored_sum = read(p.sum);
    Numbers sum, y;
    for (int64_t t = 0; t < c.tokens; ++t) {
      const size_t token = static_cast<size_t>(t);
      const Numbers word = row_of(p.word, static_cast<int64_t>(p.ids[token]), c.hidden),
                    type = row_of(p.token_type, static_cast<int64_t>(p.types[token]), c.hidden),
                    position = row_of(p.position, static_cast<int64_t>(p.positions[token]), c.hidden);
      const NormRow row = layer_norm_row(row_of(stored_sum, t, c.hidden), p.w, p.b, static_cast<double>(kEpsilon));
      for (size_t i = 0; i < word.size(); ++i) {
        sum.push_back(word[i] + position[i] + type[i]);
        y.push_back(row.output[i] * test_dropout_factor(c.rate, t, static_cast<int64_t>(i)));
      }
    }
    expect_close(stored_sum, sum, stored({.absolute = 0x1p-21}), "sum");
    expect_close(read(p.output), y, stored({.absolute = 0x1p-18}), "output");
  }
}

TEST_P(Embedding, BackwardMatchesCentralDifferences) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.tokens << " tokens");
    const Problem p = forward(c);
    const Numbers stored_sum = read(p.sum), dy = rounded(random_numbers(c.tokens * c.hidden, 9));
    const EmbeddingBackward op = backward_operands(p, compute(dy, {c.tokens, c.hidden}));
    backend().embedding_backward(op);

    const size_t hidden = static_cast<size_t>(c.hidden);
    Numbers d_word(p.word.size()), d_position(p.position.size()), d_type(p.token_type.size()), d_weight(hidden), d_bias(hidden);
    for (int64_t t = 0; t < c.tokens; ++t) {
      const size_t token = static_cast<size_t>(t);
      const Numbers z = row_of(stored_sum, t, c.hidden);
      Numbers masked = row_of(dy, t, c.hidden);
      for (size_t i = 0; i < hidden; ++i) masked[i] *= test_dropout_factor(c.rate, t, static_cast<int64_t>(i));
      const NormRow row = layer_norm_row(z, p.w, p.b, static_cast<double>(kEpsilon));
      const auto loss = [&](const Numbers& at) { return dot(layer_norm_row(at, p.w, p.b, static_cast<double>(kEpsilon)).output, masked); };
      for (size_t i = 0; i < hidden; ++i) {
        const double dz = central_difference(loss, z, i);
        d_word[static_cast<size_t>(p.ids[token]) * hidden + i] += dz;
        d_position[static_cast<size_t>(p.positions[token]) * hidden + i] += dz;
        d_type[static_cast<size_t>(p.types[token]) * hidden + i] += dz;
        d_weight[i] += masked[i] * (z[i] - row.mean) * row.rstd;
        d_bias[i] += masked[i];
      }
    }
    // Each token's gradient, up to 8, is rounded to the precision in scratch; then up to `tokens` of them are added, with errors that
    // differ in sign.
    const double root = std::sqrt(static_cast<double>(c.tokens));
    const Tolerance summed = {.absolute = 8 * root * (roundoff() + 0x1p-20)};
    expect_close(read(op.d_word), d_word, summed, "d_word");
    expect_close(read(op.d_position), d_position, summed, "d_position");
    expect_close(read(op.d_token_type), d_type, summed, "d_token_type");
    expect_close(read(op.d_weight), d_weight, {.absolute = 16 * root * 0x1p-20}, "d_weight");
    expect_close(read(op.d_bias), d_bias, {.absolute = 16 * root * 0x1p-20}, "d_bias");
  }
}

TEST_P(Embedding, BackwardAddsToTheGradientsAndTouchesNoOtherRow) {
  const Case c = {4, 8, 6, 3, 0};
  Problem p = forward(c);
  p.ids = {5, 2, 5, 2};
  EmbeddingBackward op = backward_operands(p, compute(random_numbers(32, 9), {4, 8}));
  backend().embedding_backward(op);
  const Numbers once = read(op.d_word);
  for (const int64_t unused : {0, 1, 3, 4}) EXPECT_EQ(row_of(once, unused, 8), Numbers(8, 0));
  op.d_word = fp32(Numbers(48, 100), {6, 8});
  backend().embedding_backward(op);
  Numbers expected = once;
  for (double& x : expected) x += 100;
  expect_close(read(op.d_word), expected, {.relative = 0x1p-22}, "d_word");
}

TEST_P(Embedding, RowsOfOneIdAreAddedInTheOrderOfTheirTokens) {
  for (const Case& c :
       {Case{200, 70, 2, 4, 0}, Case{1500, 5, 3000, 4, 0}}) {  // few ids; ids of more than one byte, in more than one chunk of tokens
    const Problem p = forward(c);
    const EmbeddingBackward op = backward_operands(p, compute(random_numbers(c.tokens * c.hidden, 9), {c.tokens, c.hidden}));
    backend().embedding_backward(op);
    const Numbers rows = read(op.scratch);
    std::vector<float> expected(static_cast<size_t>(c.vocabulary * c.hidden));
    for (size_t k = 0; k < rows.size(); ++k) {
      const size_t hidden = static_cast<size_t>(c.hidden), token = k / hidden;
      expected[static_cast<size_t>(p.ids[token]) * hidden + k % hidden] += static_cast<float>(rows[k]);
    }
    EXPECT_EQ(read(op.d_word), Numbers(expected.begin(), expected.end())) << c.vocabulary << " ids";
  }
}

// Without weight there is no layer norm and no dropout: the sum is the result, and its gradient goes to the tables as it is.
TEST_P(Embedding, WithoutALayerNormTheSumIsAllThereIs) {
  for (const Case& c : kCases) {
    const Problem p = forward({c.tokens, c.hidden, c.vocabulary, c.positions, 0});
    EmbeddingForward op = operands(p);
    op.weight = op.bias = op.output = op.mean = op.rstd = {};
    op.sum = empty({c.tokens, c.hidden});
    backend().embedding_forward(op);
    EXPECT_EQ(read(op.sum), read(p.sum));

    const Numbers dy = rounded(random_numbers(c.tokens * c.hidden, 9));
    EmbeddingBackward backward = backward_operands(p, compute(dy, {c.tokens, c.hidden}));
    backward.sum = backward.mean = backward.rstd = backward.weight = backward.scratch = backward.d_weight = backward.d_bias = {};
    backward.dropout = {};
    backend().embedding_backward(backward);
    const size_t hidden = static_cast<size_t>(c.hidden);
    Numbers d_word(p.word.size()), d_position(p.position.size()), d_type(p.token_type.size());
    for (size_t k = 0; k < dy.size(); ++k) {
      d_word[static_cast<size_t>(p.ids[k / hidden]) * hidden + k % hidden] += dy[k];
      d_position[static_cast<size_t>(p.positions[k / hidden]) * hidden + k % hidden] += dy[k];
      d_type[static_cast<size_t>(p.types[k / hidden]) * hidden + k % hidden] += dy[k];
    }
    const Tolerance summed = {.absolute = 8 * std::sqrt(static_cast<double>(c.tokens)) * 0x1p-20};
    expect_close(read(backward.d_word), d_word, summed, "d_word");
    expect_close(read(backward.d_position), d_position, summed, "d_position");
    expect_close(read(backward.d_token_type), d_type, summed, "d_token_type");
  }
  EmbeddingForward op = operands(forward(kCases[1]));
  op.weight = {};
  expect_rejected([&] { backend().embedding_forward(op); }, {"embedding_forward: dropout goes with a layer norm"});
}

// Models that know distances between tokens have no table of positions.
TEST_P(Embedding, WithoutPositionsTheSumIsOfWordsAndTypes) {
  const Case c = kCases[1];
  const Problem p = forward(c);
  EmbeddingForward op = operands(p);
  op.position = {};
  op.sum = empty({c.tokens, c.hidden});
  backend().embedding_forward(op);
  Numbers sum;
  for (int64_t t = 0; t < c.tokens; ++t) {
    const auto id_in = [&](const Numbers& ids) { return static_cast<int64_t>(ids[static_cast<size_t>(t)]); };
    const Numbers word = row_of(p.word, id_in(p.ids), c.hidden), type = row_of(p.token_type, id_in(p.types), c.hidden);
    for (size_t i = 0; i < word.size(); ++i) sum.push_back(word[i] + type[i]);
  }
  expect_close(read(op.sum), sum, stored({.absolute = 0x1p-21}), "sum");

  const Tensor gradient = compute(random_numbers(c.tokens * c.hidden, 9), {c.tokens, c.hidden});
  const EmbeddingBackward with = backward_operands(p, gradient);
  EmbeddingBackward without = backward_operands(p, gradient);
  without.d_position = {};
  backend().embedding_backward(with);
  backend().embedding_backward(without);
  EXPECT_EQ(read(without.d_word), read(with.d_word));
  EXPECT_EQ(read(without.d_token_type), read(with.d_token_type));
}

TEST_P(Embedding, DoesNotDependOnThreads) {
  const Case c = {400, 136, 20, 50, 0.1f};
  const Numbers dy = random_numbers(c.tokens * c.hidden, 9);
  expect_same_on_any_threads([&] {
    const Problem p = forward(c);
    const EmbeddingBackward op = backward_operands(p, compute(dy, {c.tokens, c.hidden}));
    backend().embedding_backward(op);
    Numbers all;
    for (const Tensor& t : {p.output, op.d_word, op.d_position, op.d_token_type, op.d_weight, op.d_bias}) {
      const Numbers numbers = read(t);
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    return all;
  });
}

TEST_P(Embedding, RejectsWhatDoesNotFit) {
  const Problem p = forward(kCases[1]);
  const EmbeddingForward good = operands(p);
  EmbeddingForward op = good;
  op.input_ids = int32({0, 1, 2, 3, 4, 5, 11});
  expect_numbers_rejected([&] { backend().embedding_forward(op); }, {"embedding: input_ids: expected 0 to 10, found 11"});
  op = good;
  op.token_type_ids = int32({0, 1, 0, 1, -1, 0, 0});
  expect_numbers_rejected([&] { backend().embedding_forward(op); }, {"token_type_ids: expected 0 to 1, found -1"});
  op = good;
  op.position_ids = int32({0, 1});
  expect_rejected([&] { backend().embedding_forward(op); }, {"embedding_forward: position_ids: expected [7] int32", "found [2] int32"});
  op = good;
  op.word = zeros(precision(), {11, 16});
  expect_rejected([&] { backend().embedding_forward(op); }, {"word: expected [11, 17]", "found [11, 16]"});
  op = good;
  op.weight = zeros(DType::kInt32, {17});
  expect_rejected([&] { backend().embedding_forward(op); }, {"weight: expected [17]", "found [17] int32"});
  EmbeddingBackward backward = backward_operands(p, zeros(precision(), {7, 17}));
  backward.d_word = zeros(DType::kBFloat16, {11, 17});
  expect_rejected([&] { backend().embedding_backward(backward); },
                  {"embedding_backward: d_word: expected [11, 17] fp32", "found [11, 17] bf16"});
  backward = backward_operands(p, zeros(precision(), {7, 17}));
  backward.input_ids = int32({0, 1, 2, 3, 4, 5, 99});
  expect_numbers_rejected([&] { backend().embedding_backward(backward); }, {"input_ids: expected 0 to 10, found 99"});
}

}  // namespace
}  // namespace mpibert::test
