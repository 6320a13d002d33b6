#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/data/dataset.h"
#include "tests/support/files.h"

namespace mpibert::test {

inline constexpr int64_t kVocabularySize = 1000;

// Sample i of a made-up data set: lengths from 3 to 3 + spread - 1, tokens that say which sample they are of.
inline Sample closed_form_sample(int64_t i, int64_t spread = 29) {
  Sample sample;
  sample.id = i;
  const int64_t length = 3 + (i * 7) % spread;
  for (int64_t t = 0; t < length; ++t) {
    sample.input_ids.push_back(static_cast<int32_t>((i * 31 + t) % kVocabularySize));
    sample.token_type_ids.push_back(2 * t >= length ? 1 : 0);
  }
  sample.labels.emplace_back("labels", std::vector<int32_t>{static_cast<int32_t>(i % 3)});
  return sample;
}

inline Schema class_labels() { return {{.name = "labels", .dtype = DType::kInt32, .per = Per::kSequence}}; }

inline std::vector<Sample> closed_form_samples(int64_t count, int64_t spread = 29) {
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) samples.push_back(closed_form_sample(i, spread));
  return samples;
}

inline ShardEntry write_shard(const std::filesystem::path& path, const std::vector<Sample>& samples, const Schema& labels,
                              int64_t vocabulary_size = kVocabularySize) {
  ShardWriter writer(path, labels, {.vocabulary_size = vocabulary_size, .vocabulary_sha256 = "abc"});
  for (const Sample& sample : samples) writer.add(sample);
  return writer.commit();
}

// A prepared folder with one split of `count` samples in shards of `shard_size`.
inline void write_dataset(const std::filesystem::path& folder, int64_t count, int64_t shard_size, const std::string& split = "train",
                          int64_t spread = 29) {
  std::filesystem::create_directories(folder);
  Manifest manifest{.task = "test", .vocabulary_size = kVocabularySize, .vocabulary_sha256 = "abc", .label_names = {"a", "b", "c"}};
  manifest.splits.push_back({.name = split, .labels = class_labels(), .shards = {}});
  const std::vector<Sample> samples = closed_form_samples(count, spread);
  for (int64_t begin = 0; begin < count; begin += shard_size) {
    const int64_t end = std::min(begin + shard_size, count);
    const std::string name = split + "-" + std::to_string(begin / shard_size) + ".h5";
    manifest.splits[0].shards.push_back(write_shard(folder / name, {samples.begin() + begin, samples.begin() + end}, class_labels()));
  }
  write_manifest(folder, manifest);
}

// The message of the error of this kind that f throws.
inline std::string error_of(ErrorKind kind, const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

inline void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

}  // namespace mpibert::test
