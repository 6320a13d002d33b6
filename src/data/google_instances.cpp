#include "mpibert/data/google_instances.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <unordered_set>

#include "base/python_random.h"
#include "data/line_reader.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr int kTries = 10;  // of finding another document

using Tokens = std::vector<int32_t>;

std::span<const int32_t> sentence_of(const TokenizedDocument& document, int64_t i) {
  const int64_t begin = document.offsets[static_cast<size_t>(i)], end = document.offsets[static_cast<size_t>(i) + 1];
  return std::span(document.ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}
void append_sentence(const TokenizedDocument& document, int64_t i, std::deque<int32_t>& tokens) {
  const std::span<const int32_t> sentence = sentence_of(document, i);
  tokens.insert(tokens.end(), sentence.begin(), sentence.end());
}

class Instances {
 public:
  Instances(std::vector<TokenizedDocument> documents, const Vocabulary& vocabulary, const GoogleInstanceOptions& options);
  std::vector<Sample> make();

 private:
  void add_document(size_t document);
  std::deque<int32_t> random_next(size_t document, int64_t wanted);
  void add_pair(std::deque<int32_t> a, std::deque<int32_t> b, bool is_random_next);
  void mask(Sample& sample);
  int64_t most() const { return options_.max_seq_length - 3; }

  std::vector<TokenizedDocument> documents_;
  const GoogleInstanceOptions& options_;
  int32_t cls_, sep_, mask_;
  std::vector<int32_t> words_;   // what a random word is drawn from: each token once, at its first place
  std::vector<bool> continues_;  // by id: begins with ##
  PythonRandom random_;
  std::vector<Sample> samples_;
};

Instances::Instances(std::vector<TokenizedDocument> documents, const Vocabulary& vocabulary, const GoogleInstanceOptions& options)
    : documents_(std::move(documents)),
      options_(options),
      cls_(vocabulary.cls_id()),
      sep_(vocabulary.sep_id()),
      mask_(vocabulary.mask_id()),
      random_(options.random_seed) {
  std::unordered_set<std::string_view> seen;
  for (const std::string& token : vocabulary.tokens()) {
    continues_.push_back(token.starts_with("##"));
    if (seen.insert(token).second) words_.push_back(vocabulary.id(token));
  }
}

std::vector<Sample> Instances::make() {
  random_.shuffle(documents_);
  for (int64_t pass = 0; pass < options_.dupe_factor; ++pass)
    for (size_t document = 0; document < documents_.size(); ++document) add_document(document);
  random_.shuffle(samples_);
  for (size_t i = 0; i < samples_.size(); ++i) samples_[i].id = static_cast<int64_t>(i);
  return std::move(samples_);
}

void Instances::add_document(size_t document) {
  const TokenizedDocument& own = documents_[document];
  const auto target = random_.random() < options_.short_seq_prob ? random_.randint(2, most()) : most();
  int64_t chunk_begin = 0, chunk_tokens = 0;  // sentences chunk_begin .. i are the chunk
  for (int64_t i = 0; i < own.sentences(); ++i) {
    chunk_tokens += std::ssize(sentence_of(own, i));
    if (i + 1 < own.sentences() && chunk_tokens < target) continue;
    const int64_t chunk_size = i + 1 - chunk_begin;
    const int64_t a_end = chunk_begin + (chunk_size >= 2 ? random_.randint(1, chunk_size - 1) : 1);
    std::deque<int32_t> a, b;
    const auto append = [&](std::deque<int32_t>& to, int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) append_sentence(own, j, to);
    };
    append(a, chunk_begin, a_end);
    const bool is_random_next = chunk_size == 1 || random_.random() < 0.5;
    if (is_random_next) {
      b = random_next(document, target - std::ssize(a));
      i = a_end - 1;  // the sentences that were not used come again
    } else {
      append(b, a_end, i + 1);
    }
    add_pair(std::move(a), std::move(b), is_random_next);
    chunk_begin = i + 1;
    chunk_tokens = 0;
  }
}

std::deque<int32_t> Instances::random_next(size_t document, int64_t wanted) {
  size_t other = document;
  for (int attempt = 0; attempt < kTries && other == document; ++attempt) other = random_.below(documents_.size());
  const TokenizedDocument& from = documents_[other];
  std::deque<int32_t> tokens;
  for (int64_t j = random_.randint(0, from.sentences() - 1); j < from.sentences(); ++j) {
    append_sentence(from, j, tokens);
    if (std::ssize(tokens) >= wanted) break;
  }
  return tokens;
}

void Instances::add_pair(std::deque<int32_t> a, std::deque<int32_t> b, bool is_random_next) {
  while (std::ssize(a) + std::ssize(b) > most()) {
    std::deque<int32_t>& longer = a.size() > b.size() ? a : b;
    random_.random() < 0.5 ? longer.pop_front() : longer.pop_back();
  }
  Sample sample;
  const auto append = [&](const std::deque<int32_t>& part, int32_t type) {
    sample.input_ids.insert(sample.input_ids.end(), part.begin(), part.end());
    sample.input_ids.push_back(sep_);
    sample.token_type_ids.resize(sample.input_ids.size(), type);
  };
  sample.input_ids.push_back(cls_);
  append(a, 0);
  append(b, 1);
  mask(sample);
  sample.labels.emplace_back("next_sentence_labels", Tokens{is_random_next ? 1 : 0});
  samples_.push_back(std::move(sample));
}

void Instances::mask(Sample& sample) {
  const Tokens original = sample.input_ids;
  std::vector<Tokens> candidates;  // positions that are masked together
  for (int32_t i = 0; i < static_cast<int32_t>(original.size()); ++i) {
    const int32_t id = original[static_cast<size_t>(i)];
    if (id == cls_ || id == sep_) continue;
    if (options_.masking.do_whole_word_mask && !candidates.empty() && continues_[static_cast<size_t>(id)]) candidates.back().push_back(i);
    else candidates.push_back({i});
  }
  random_.shuffle(candidates);
  // nearbyint rounds half to even, as Python's round does.
  const auto wanted = static_cast<int64_t>(std::nearbyint(static_cast<double>(original.size()) * options_.masking.masked_lm_prob));
  const int64_t limit = std::min(options_.masking.max_predictions_per_seq, std::max<int64_t>(1, wanted));
  Tokens positions, ids;
  for (const Tokens& together : candidates) {
    if (std::ssize(positions) >= limit) break;
    if (std::ssize(positions) + std::ssize(together) > limit) continue;
    for (const int32_t position : together) {
      int32_t& id = sample.input_ids[static_cast<size_t>(position)];
      if (random_.random() < 0.8) id = mask_;
      else if (random_.random() >= 0.5) id = words_[random_.below(words_.size())];
      positions.push_back(position);
    }
  }
  std::ranges::sort(positions);
  for (const int32_t position : positions) ids.push_back(original[static_cast<size_t>(position)]);
  sample.labels.emplace_back("masked_lm_positions", std::move(positions));
  sample.labels.emplace_back("masked_lm_ids", std::move(ids));
}

}  // namespace

std::vector<TokenizedDocument> read_google_documents(std::span<const std::filesystem::path> files, const BertTokenizer& tokenizer) {
  TokenizerOptions settings = tokenizer.options();
  settings.match_special_tokens = false;
  settings.max_input_chars_per_word = 200;
  const BertTokenizer google(tokenizer.vocabulary(), settings);
  std::vector<TokenizedDocument> documents(1);
  for (const std::filesystem::path& file : files) {
    LineReader lines(file);
    for (std::string line; lines.next(line);) {
      TokenizedDocument& document = documents.back();
      if (is_blank(line)) {
        if (document.sentences() > 0) documents.emplace_back();
        continue;
      }
      google.append_ids(line, document.ids);
      if (const auto end = std::ssize(document.ids); end > document.offsets.back()) document.offsets.push_back(end);
    }
  }
  if (documents.back().sentences() == 0) documents.pop_back();
  return documents;
}

std::vector<Sample> make_google_instances(std::vector<TokenizedDocument> documents, const Vocabulary& vocabulary,
                                          const GoogleInstanceOptions& options) {
  MPIBERT_CHECK(!documents.empty(), kInvalidArgument,
                "no document in the text; expected one sentence a line, and a blank line between documents");
  MPIBERT_CHECK(options.max_seq_length >= 5, kInvalidArgument, "max_seq_length is ", options.max_seq_length,
                ", expected at least 5: [CLS] a [SEP] b [SEP]");
  MPIBERT_CHECK(options.dupe_factor > 0, kInvalidArgument, "dupe_factor is ", options.dupe_factor, ", expected at least 1");
  const Masker checks_options(vocabulary, options.masking);
  return Instances(std::move(documents), vocabulary, options).make();
}

}  // namespace mpibert
