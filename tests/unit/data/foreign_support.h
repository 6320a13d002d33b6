#pragma once

#include <limits>
#include <vector>

#include "mpibert/data/foreign.h"
#include "tests/support/files.h"

namespace mpibert::test {

inline constexpr RowWidths kWidths{.max_seq_length = 40, .max_predictions_per_seq = 6};

// Sample i of a made-up set: two parts of 1 to 12 tokens, 0 to 6 masks; the first fills a row.
inline Sample masked_sample(int32_t i, int32_t vocabulary_size = 1000) {
  Sample sample{.id = i, .input_ids = {}, .token_type_ids = {}, .labels = {}};
  const int32_t length = i == 0 ? 40 : 5 + (i * 7) % 25;
  std::vector<int32_t> positions, ids;
  for (int32_t t = 0; t < length; ++t) {
    sample.input_ids.push_back((i * 1031 + t * 17) % vocabulary_size);
    sample.token_type_ids.push_back(2 * t >= length ? 1 : 0);
    if (t % 3 == 1 && static_cast<int32_t>(positions.size()) < i % 7) {
      positions.push_back(t);
      ids.push_back((i + t) % vocabulary_size);
    }
  }
  sample.labels = {{"masked_lm_positions", positions}, {"masked_lm_ids", ids}, {"next_sentence_labels", {i % 2}}};
  return sample;
}

inline std::vector<Sample> masked_samples(int32_t count, int32_t vocabulary_size = 1000) {
  std::vector<Sample> samples;
  for (int32_t i = 0; i < count; ++i) samples.push_back(masked_sample(i, vocabulary_size));
  return samples;
}

inline void write_foreign(ForeignFormat format, const std::filesystem::path& path, const std::vector<Sample>& samples,
                          int64_t vocabulary_size = 1000) {
  const auto writer = make_foreign_writer(format, path, kWidths, vocabulary_size);
  for (const Sample& sample : samples) writer->add(sample);
  writer->commit();
}

inline std::vector<Sample> read_foreign(const std::filesystem::path& path, int64_t vocabulary_size = std::numeric_limits<int32_t>::max()) {
  const auto reader = open_foreign(path, vocabulary_size);
  std::vector<Sample> samples;
  for (Sample sample; reader->next(sample);) samples.push_back(sample);
  return samples;
}

}  // namespace mpibert::test
