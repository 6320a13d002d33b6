#include "mpibert/data/sample_plan.h"

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

void check_length(int64_t max_seq_length) {
  MPIBERT_CHECK(max_seq_length >= 5, kInvalidArgument, "max_seq_length is ", max_seq_length,
                ", expected at least 5: [CLS] a [SEP] b [SEP]");
}

}  // namespace

Schema sentence_pair_labels() { return {{.name = "next_sentence_labels", .dtype = DType::kInt32, .per = Per::kSequence}}; }

void plan_sentence_pairs(std::span<const uint32_t> sentence_offsets, int64_t max_seq_length, double short_seq_prob, RandomStream random,
                         std::vector<PlannedSample>& samples) {
  check_length(max_seq_length);
  const int64_t most = max_seq_length - 3, sentences = static_cast<int64_t>(sentence_offsets.size()) - 1;
  const int64_t target = random.uniform() < short_seq_prob ? 2 + static_cast<int64_t>(random.below(static_cast<uint64_t>(most - 1))) : most;
  const auto offset = [&](int64_t sentence) { return static_cast<int64_t>(sentence_offsets[static_cast<size_t>(sentence)]); };
  for (int64_t begin = 0; begin < sentences;) {
    int64_t end = begin + 1;  // sentences begin .. end-1 are the chunk
    while (end < sentences && offset(end) - offset(begin) < target) ++end;
    const int64_t a_end = end - begin >= 2 ? begin + 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(end - begin - 1))) : end;
    const bool is_random_next = end - begin == 1 || random.uniform() < 0.5;
    samples.push_back({.a = {offset(begin), offset(a_end)},
                       .b = {offset(a_end), offset(end)},
                       .is_random_next = is_random_next,
                       .target = target,
                       .key = random.bits64()});
    begin = is_random_next ? a_end : end;  // the sentences that were not used come again
  }
}

void plan_segments(std::span<const uint32_t> sentence_offsets, int64_t max_seq_length, std::vector<PlannedSample>& samples) {
  check_length(max_seq_length);
  const int64_t most = max_seq_length - 2;
  int64_t begin = sentence_offsets.front(), end = begin;  // the tokens of the segment so far
  const auto write = [&](int64_t to) {
    if (to > begin) samples.push_back({.a = {begin, to}, .b = {to, to}});
    begin = to;
  };
  for (const int64_t sentence_end : sentence_offsets.subspan(1)) {
    if (sentence_end - begin > most) write(end);
    while (sentence_end - begin > most) write(begin + most);
    end = sentence_end;
  }
  write(end);
}

void truncate_pair(IndexRange& a, IndexRange& b, int64_t most, RandomStream& random) {
  while (a.size() + b.size() > most) {
    IndexRange& longer = a.size() > b.size() ? a : b;
    if (random.uniform() < 0.5) ++longer.begin;
    else --longer.end;
  }
}

}  // namespace mpibert
