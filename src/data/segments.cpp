#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/data/corpus.h"

namespace mpibert {

namespace {

Sample segment_of(std::span<const int32_t> tokens, const Vocabulary& vocabulary) {
  Sample sample;
  sample.input_ids.reserve(tokens.size() + 2);
  sample.input_ids.push_back(vocabulary.cls_id());
  sample.input_ids.insert(sample.input_ids.end(), tokens.begin(), tokens.end());
  sample.input_ids.push_back(vocabulary.sep_id());
  sample.token_type_ids.assign(sample.input_ids.size(), 0);
  return sample;
}

}  // namespace

void make_segments(const TokenizedDocument& document, const Vocabulary& vocabulary, int64_t max_seq_length, std::vector<Sample>& samples) {
  MPIBERT_CHECK(max_seq_length >= 5, kInvalidArgument, "max_seq_length is ", max_seq_length, ", expected at least 5");
  const int64_t most = max_seq_length - 2;
  const std::span<const int32_t> ids = document.ids;
  int64_t begin = 0, end = 0;  // the tokens of the segment so far
  const auto write = [&](int64_t to) {
    if (to > begin) samples.push_back(segment_of(ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(to - begin)), vocabulary));
    begin = to;
  };
  for (int64_t i = 0; i < document.sentences(); ++i) {
    const int64_t sentence_end = document.offsets[static_cast<size_t>(i) + 1];
    if (sentence_end - begin > most) write(end);
    while (sentence_end - begin > most) write(begin + most);
    end = sentence_end;
  }
  write(end);
}

}  // namespace mpibert
