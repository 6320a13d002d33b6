#include "model/padding.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace mpibert {

namespace {

constexpr int64_t kLengthUnit = 64;

// The powers of two that T, B and P become multiples of.
struct Units {
  int64_t tokens, sequences, predictions;
};

int64_t power_of_two(int64_t most) { return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(most))); }

Units units_of(const BatchShape& shape) {
  const int64_t tokens = power_of_two(std::max<int64_t>(64, shape.tokens / 32));
  return {.tokens = tokens,
          .sequences = power_of_two(std::clamp<int64_t>(shape.sequences / 4, 1, tokens / 8)),
          .predictions = power_of_two(std::max<int64_t>(8, shape.predictions / 16))};
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

// Filler sequences of nearly equal length.
void add_filler_sequences(std::vector<int32_t>& cu_seqlens, int64_t tokens, int64_t sequences) {
  for (int64_t i = 0; i < sequences; ++i)
    cu_seqlens.push_back(cu_seqlens.back() + static_cast<int32_t>(tokens / sequences + (i < tokens % sequences ? 1 : 0)));
}

}  // namespace

BatchShape shape_of(const Batch& batch) {
  return {.tokens = batch.tokens(),
          .sequences = batch.sequences(),
          .predictions = batch.has("masked_lm_positions") ? batch["masked_lm_positions"].size() : 0,
          .max_seq_length = batch.max_seq_length()};
}

BatchShape padded_shape(const BatchShape& real) {
  const Units units = units_of(real);
  BatchShape padded = {.tokens = round_up(real.tokens, units.tokens),
                       .sequences = round_up(real.sequences, units.sequences),
                       .predictions = round_up(real.predictions, units.predictions),
                       .max_seq_length = round_up(real.max_seq_length, kLengthUnit)};
  for (;;) {  // whichever fillers are too few become more
    const int64_t tokens = padded.tokens - real.tokens, sequences = padded.sequences - real.sequences;
    const int64_t needed = std::max(sequences, padded.predictions - real.predictions);
    if (tokens < needed) {
      padded.tokens = round_up(real.tokens + needed, units.tokens);
    } else if (tokens > sequences * padded.max_seq_length) {
      padded.sequences = round_up(real.sequences + ceil_div(tokens, padded.max_seq_length), units.sequences);
    } else {
      return padded;
    }
  }
}

// Rounding adds less than a unit, and the units of smaller batches are no larger. The fillers of padded_shape grow from none by the two
// rules below, so they stay below the first numbers that both rules leave as they are.
BatchShape padded_limits(const BatchShape& limits) {
  const Units units = units_of(limits);
  int64_t tokens = 0, sequences = 0;
  for (;;) {
    const int64_t more_tokens = std::max(sequences, units.predictions - 1) + units.tokens - 1,
                  more_sequences = ceil_div(tokens, kLengthUnit) + units.sequences - 1;
    if (more_tokens == tokens && more_sequences == sequences) break;
    tokens = more_tokens;
    sequences = more_sequences;
  }
  return {.tokens = limits.tokens + tokens,
          .sequences = limits.sequences + sequences,
          .predictions = round_up(limits.predictions, units.predictions),
          .max_seq_length = round_up(limits.max_seq_length, kLengthUnit)};
}

Batch pad(const Batch& batch, const Schema& labels) {
  const BatchShape real = shape_of(batch), padded = padded_shape(real);
  Batch out;
  out.set_extent(padded.tokens, padded.sequences, padded.max_seq_length, batch.choices());
  const auto numbers = [&](const std::string& name) {
    const Tensor field = batch[name];
    const auto* begin = static_cast<const int32_t*>(field.data());  // floats by their bits
    return std::vector<int32_t>(begin, begin + field.size());
  };
  const auto add = [&](const std::string& name, int64_t size, int32_t filler, DType dtype = DType::kInt32) {
    std::vector<int32_t> values = numbers(name);
    values.resize(static_cast<size_t>(size), filler);
    out.add(name, std::move(values), dtype);
  };
  for (const char* name : {"input_ids", "token_type_ids", "position_ids", "token_keys"}) add(name, padded.tokens, 0);
  add("sequence_keys", padded.sequences, 0);
  std::vector<int32_t> cu_seqlens = numbers("cu_seqlens");
  add_filler_sequences(cu_seqlens, padded.tokens - real.tokens, padded.sequences - real.sequences);
  out.add("cu_seqlens", std::move(cu_seqlens));
  for (const Field& label : labels) {
    if (!batch.has(label.name)) continue;
    if (label.name == "masked_lm_positions") {
      std::vector<int32_t> rows = numbers(label.name);
      for (auto row = static_cast<int32_t>(real.tokens); static_cast<int64_t>(rows.size()) < padded.predictions; ++row) rows.push_back(row);
      out.add(label.name, std::move(rows));
    } else {
      const int32_t nothing = label.dtype == DType::kFloat32 ? std::bit_cast<int32_t>(std::numeric_limits<float>::quiet_NaN()) : -1;
      add(label.name,
          label.per == Per::kToken      ? padded.tokens
          : label.per == Per::kSequence ? padded.sequences
                                        : padded.predictions,
          nothing, label.dtype);
    }
  }
  return out;
}

}  // namespace mpibert
