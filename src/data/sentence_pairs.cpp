#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/data/corpus.h"

namespace mpibert {

std::span<const int32_t> TokenizedDocument::sentence(int64_t i) const {
  const size_t begin = static_cast<size_t>(offsets[static_cast<size_t>(i)]), end = static_cast<size_t>(offsets[static_cast<size_t>(i) + 1]);
  return std::span(ids).subspan(begin, end - begin);
}

Schema sentence_pair_labels() { return {{.name = "next_sentence_labels", .dtype = DType::kInt32, .per = Per::kSequence}}; }

namespace {

using Tokens = std::vector<int32_t>;

void append(std::span<const int32_t> sentence, Tokens& tokens) { tokens.insert(tokens.end(), sentence.begin(), sentence.end()); }

// Takes tokens from the longer of the two, of equal ones from the second, at either end by chance.
void truncate_pair(Tokens& a, Tokens& b, size_t most, RandomStream& random) {
  std::span<const int32_t> part_a = a, part_b = b;
  while (part_a.size() + part_b.size() > most) {
    std::span<const int32_t>& longer = part_a.size() > part_b.size() ? part_a : part_b;
    longer = random.uniform() < 0.5 ? longer.subspan(1) : longer.first(longer.size() - 1);
  }
  a = Tokens(part_a.begin(), part_a.end());
  b = Tokens(part_b.begin(), part_b.end());
}

Sample make_pair_sample(const Tokens& a, const Tokens& b, bool is_random_next, const Vocabulary& vocabulary) {
  Sample sample;
  sample.input_ids.reserve(a.size() + b.size() + 3);
  sample.input_ids.push_back(vocabulary.cls_id());
  append(a, sample.input_ids);
  sample.input_ids.push_back(vocabulary.sep_id());
  sample.token_type_ids.assign(sample.input_ids.size(), 0);
  append(b, sample.input_ids);
  sample.input_ids.push_back(vocabulary.sep_id());
  sample.token_type_ids.resize(sample.input_ids.size(), 1);
  sample.labels.emplace_back("next_sentence_labels", std::vector<int32_t>{is_random_next ? 1 : 0});
  return sample;
}

// Sentences of another document of the block, from a random one on, until there are `wanted` tokens.
Tokens random_next(std::span<const TokenizedDocument> block, int64_t document, size_t wanted, RandomStream& random) {
  constexpr int kTries = 10;  // the reference's
  int64_t other = document;
  for (int attempt = 0; attempt < kTries && other == document; ++attempt) other = static_cast<int64_t>(random.below(block.size()));
  const TokenizedDocument& from = block[static_cast<size_t>(other)];
  Tokens tokens;
  for (int64_t i = static_cast<int64_t>(random.below(static_cast<uint64_t>(from.sentences()))); i < from.sentences(); ++i) {
    append(from.sentence(i), tokens);
    if (tokens.size() >= wanted) break;
  }
  return tokens;
}

}  // namespace

void make_sentence_pairs(std::span<const TokenizedDocument> block, int64_t document, const Vocabulary& vocabulary, const SentencePairOptions& options,
                         RandomStream random, std::vector<Sample>& samples) {
  MPIBERT_CHECK(options.max_seq_length >= 5, kInvalidArgument, "max_seq_length is ", options.max_seq_length, ", expected at least 5: [CLS] a [SEP] b [SEP]");
  const TokenizedDocument& own = block[static_cast<size_t>(document)];
  const size_t most = static_cast<size_t>(options.max_seq_length - 3);
  const size_t target = random.uniform() < options.short_seq_prob ? 2 + random.below(most - 1) : most;

  int64_t chunk_begin = 0;  // sentences chunk_begin .. i are the chunk
  size_t chunk_tokens = 0;
  for (int64_t i = 0; i < own.sentences(); ++i) {
    chunk_tokens += own.sentence(i).size();
    if (i + 1 < own.sentences() && chunk_tokens < target) continue;
    const int64_t chunk_size = i + 1 - chunk_begin;
    const int64_t a_end = chunk_size >= 2 ? 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(chunk_size - 1))) : 1;
    Tokens a, b;
    for (int64_t j = chunk_begin; j < chunk_begin + a_end; ++j) append(own.sentence(j), a);
    const bool is_random_next = chunk_size == 1 || random.uniform() < 0.5;
    if (is_random_next) {
      b = random_next(block, document, target > a.size() ? target - a.size() : 0, random);
      i = chunk_begin + a_end - 1;  // the sentences that were not used come again
    } else {
      for (int64_t j = chunk_begin + a_end; j <= i; ++j) append(own.sentence(j), b);
    }
    truncate_pair(a, b, most, random);
    samples.push_back(make_pair_sample(a, b, is_random_next, vocabulary));
    chunk_begin = i + 1;
    chunk_tokens = 0;
  }
}

}  // namespace mpibert
