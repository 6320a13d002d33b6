// Samples made of a token store: mpibert/data/dataset.h.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mpibert/data/batch_loader.h"
#include "mpibert/data/dataset.h"
#include "mpibert/data/sampler.h"
#include "mpibert/data/token_shard.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

constexpr int64_t kFirstToken = 5, kVocabulary = 100000;

// A store whose tokens say where they are: they count through the whole corpus. One shard for each list of documents; a document is the
// lengths of its sentences.
struct Corpus {
  std::vector<int64_t> document_begins, sentence_begins;  // as tokens
  int64_t end = kFirstToken;

  int64_t document_of(int32_t token) const {
    return std::upper_bound(document_begins.begin(), document_begins.end(), token) - document_begins.begin() - 1;
  }
  bool begins_sentence(int32_t token) const { return std::binary_search(sentence_begins.begin(), sentence_begins.end(), token); }
};

Corpus write_store(const std::filesystem::path& folder, const std::vector<int64_t>& documents_of_shards, bool pairs = true) {
  Corpus corpus;
  std::filesystem::create_directories(folder);
  Manifest manifest{.task = pairs ? "pretraining" : "masked-lm",
                    .storage = Storage::kTokens,
                    .max_seq_length = 64,
                    .vocabulary_size = kVocabulary,
                    .vocabulary_sha256 = "abc"};
  manifest.splits.push_back({.name = "train", .labels = pairs ? sentence_pair_labels() : Schema{}, .shards = {}});
  for (size_t shard = 0; shard < documents_of_shards.size(); ++shard) {
    TokenShardWriter writer(folder / ("train-" + std::to_string(shard) + ".h5"),
                            {.vocabulary_size = kVocabulary, .vocabulary_sha256 = "abc"});
    for (int64_t d = 0; d < documents_of_shards[shard]; ++d) {
      TokenizedDocument document;
      corpus.document_begins.push_back(corpus.end);
      for (int64_t s = 0; s < 20 + (d * 7) % 40; ++s) {
        corpus.sentence_begins.push_back(corpus.end);
        for (int64_t t = 0; t < 3 + (d + s * 5) % 17; ++t) document.ids.push_back(static_cast<int32_t>(corpus.end++));
        document.offsets.push_back(static_cast<int64_t>(document.ids.size()));
      }
      writer.add(document);
    }
    manifest.splits[0].shards.push_back(writer.commit());
  }
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int64_t id = kFirstToken; id < kVocabulary; ++id) vocabulary += "w" + std::to_string(id) + "\n";
  write_text(folder / "vocab.txt", vocabulary);
  write_manifest(folder, manifest);
  return corpus;
}

std::vector<Sample> epoch_of(const Dataset& dataset, int64_t epoch) {
  std::vector<Sample> samples;
  for (int64_t id = 0; id < dataset.size(); ++id) samples.push_back(dataset.read(id, epoch));
  return samples;
}

struct Pair {
  std::vector<int32_t> a, b;
  bool is_random_next = false;
};

Pair parts_of(const Sample& sample) {
  EXPECT_EQ(sample.input_ids.front(), 2);
  EXPECT_EQ(sample.input_ids.back(), 3);
  const auto sep = std::find(sample.input_ids.begin(), sample.input_ids.end(), 3);
  EXPECT_EQ(std::count(sample.token_type_ids.begin(), sample.token_type_ids.end(), 0), sep - sample.input_ids.begin() + 1);
  EXPECT_TRUE(std::is_sorted(sample.token_type_ids.begin(), sample.token_type_ids.end()));
  return {.a = {sample.input_ids.begin() + 1, sep},
          .b = {sep + 1, sample.input_ids.end() - 1},
          .is_random_next = sample.label("next_sentence_labels")[0] == 1};
}

bool is_consecutive(const std::vector<int32_t>& tokens) {
  return std::adjacent_find(tokens.begin(), tokens.end(), [](int32_t x, int32_t y) { return y != x + 1; }) == tokens.end();
}

double chi_square(const std::vector<int64_t>& counts) {
  const double expected =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0})) / static_cast<double>(counts.size());
  double sum = 0;
  for (const int64_t count : counts) sum += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
  return sum;
}

// Above which a chi-square of so many degrees of freedom is met by chance once in 10,000 times. Source: Wilson, Hilferty 1931, PNAS 17.
double critical(size_t degrees) {
  const double n = static_cast<double>(degrees), root = 1 - 2 / (9 * n) + 3.719 * std::sqrt(2 / (9 * n));
  return n * root * root * root;
}

}  // namespace

TEST(TokenStore, PairsObeyTheRules) {
  TemporaryFolder folder;
  const Corpus corpus = write_store(folder.path(), {20, 1, 40});
  const Dataset dataset(folder.path(), "train", true, {.max_seq_length = 64, .seed = 3});
  EXPECT_EQ(dataset.longest(), 64);
  int64_t whole = 0;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    for (const Sample& sample : epoch_of(dataset, epoch)) {
      const Pair pair = parts_of(sample);
      ASSERT_FALSE(pair.a.empty() || pair.b.empty());
      ASSERT_LE(sample.input_ids.size(), 64u);
      ASSERT_EQ(static_cast<int64_t>(sample.input_ids.size()), dataset.length(sample.id, epoch));
      ASSERT_TRUE(is_consecutive(pair.a) && is_consecutive(pair.b));
      const int64_t document = corpus.document_of(pair.a.front());
      ASSERT_EQ(corpus.document_of(pair.a.back()), document);
      ASSERT_EQ(corpus.document_of(pair.b.front()), corpus.document_of(pair.b.back()));
      ASSERT_EQ(corpus.document_of(pair.b.front()) == document, !pair.is_random_next);
      ASSERT_TRUE(pair.is_random_next || pair.b.front() > pair.a.back());
      whole += sample.input_ids.size() < 64 && corpus.begins_sentence(pair.a.front()) && corpus.begins_sentence(pair.b.front())
                   ? 1
                   : 0;  // nothing was cut off
    }
  }
  EXPECT_GT(whole, 100);
}

TEST(TokenStore, EpochsHaveEqualSizesAndOtherSamplesAndLeaveLittleOut) {
  TemporaryFolder folder;
  const Corpus corpus = write_store(folder.path(), {30, 30});
  const Dataset dataset(folder.path(), "train", false, {.max_seq_length = 64, .short_seq_prob = 0, .seed = 3});
  EXPECT_NE(epoch_of(dataset, 0), epoch_of(dataset, 1));
  EXPECT_NE(epoch_of(dataset, 0),
            epoch_of(Dataset(folder.path(), "train", false, {.max_seq_length = 64, .short_seq_prob = 0, .seed = 4}), 0));
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<bool> seen(static_cast<size_t>(corpus.end));
    for (const Sample& sample : epoch_of(dataset, epoch))
      for (const int32_t token : sample.input_ids) seen[static_cast<size_t>(token)] = true;
    const auto unseen = std::count(seen.begin() + kFirstToken, seen.end(), false);
    EXPECT_LT(unseen, corpus.end / 10) << "what truncation cut off, and samples left out where this epoch has more of them than the first";
  }
}

// What is read before does not matter, nor does who reads.
TEST(TokenStore, SamplesAreAFunctionOfTheirPlace) {
  TemporaryFolder folder;
  write_store(folder.path(), {25, 10, 25});
  const SampleRecipe recipe{.max_seq_length = 48, .seed = 9};
  const Dataset dataset(folder.path(), "train", false, recipe);
  const std::vector<Sample> expected = epoch_of(dataset, 5);
  const Dataset other(folder.path(), "train", false, recipe);
  for (int64_t i = 0; i < 300; ++i) {
    const int64_t id = i * 7919 % dataset.size();
    EXPECT_EQ(other.read(id, 5), expected[static_cast<size_t>(id)]);
    other.read((id * 3) % dataset.size(), i % 4);
  }
  EXPECT_EQ(dataset.fingerprint(), other.fingerprint());
  EXPECT_NE(dataset.fingerprint(), Dataset(folder.path(), "train", false, {.max_seq_length = 47, .seed = 9}).fingerprint());
}

TEST(TokenStore, OneDocumentGivesItsOwnTextAsRandom) {
  TemporaryFolder folder;
  const Corpus corpus = write_store(folder.path(), {1});
  int64_t random = 0;
  for (const Sample& sample : epoch_of(Dataset(folder.path(), "train", false, {.max_seq_length = 32}), 0)) {
    const Pair pair = parts_of(sample);
    EXPECT_EQ(corpus.document_of(pair.b.front()), 0);
    random += pair.is_random_next ? 1 : 0;
  }
  EXPECT_GT(random, 0);
}

TEST(TokenStore, SegmentsCoverEveryTokenOnceInEveryEpoch) {
  TemporaryFolder folder;
  const Corpus corpus = write_store(folder.path(), {12, 3}, false);
  const Dataset dataset(folder.path(), "train", false, {.max_seq_length = 40});
  for (const int64_t epoch : {0, 7}) {
    std::vector<int32_t> tokens;
    for (const Sample& sample : epoch_of(dataset, epoch)) {
      EXPECT_EQ(sample.token_type_ids, std::vector<int32_t>(sample.input_ids.size(), 0));
      EXPECT_TRUE(sample.labels.empty());
      tokens.insert(tokens.end(), sample.input_ids.begin() + 1, sample.input_ids.end() - 1);
    }
    EXPECT_EQ(static_cast<int64_t>(tokens.size()), corpus.end - kFirstToken);
    EXPECT_TRUE(is_consecutive(tokens));
  }
}

// 100,000 samples over many epochs: next sentences that are random come from any document alike, and masks are what Devlin et al. 2018 say.
TEST(TokenStore, DistributionsAreThoseOfTheRecipe) {
  TemporaryFolder folder;
  const Corpus corpus = write_store(folder.path(), {20, 15, 25});
  const Dataset dataset(folder.path(), "train", false, {.max_seq_length = 64, .seed = 11});
  const Masker masker(Vocabulary::from_file(folder / "vocab.txt"), {});
  constexpr int64_t kSamples = 100000;
  std::vector<int64_t> documents(60), bins(50);
  int64_t masked = 0, kept = 0, changed = 0, wanted = 0;
  for (int64_t position = 0; position < kSamples; ++position) {
    const int64_t epoch = position / dataset.size();
    Sample sample = dataset.read(position % dataset.size(), epoch);
    const Pair pair = parts_of(sample);
    if (pair.is_random_next) ++documents[static_cast<size_t>(corpus.document_of(pair.b.front()))];
    wanted += std::clamp<int64_t>(std::lrint(0.15 * static_cast<double>(sample.input_ids.size())), 1, 20);
    masker.mask_dynamically(sample, 11, epoch);
    const std::vector<int32_t>&positions = sample.label("masked_lm_positions"), &originals = sample.label("masked_lm_ids");
    for (size_t i = 0; i < positions.size(); ++i) {
      const int32_t now = sample.input_ids[static_cast<size_t>(positions[i])];
      if (now == 4) ++masked;
      else if (now == originals[i]) ++kept;
      else ++changed, ++bins[static_cast<size_t>(now * int64_t{50} / kVocabulary)];
    }
  }
  EXPECT_LT(chi_square(documents), critical(documents.size() - 1));
  EXPECT_LT(chi_square(bins), critical(bins.size() - 1));
  EXPECT_EQ(masked + kept + changed, wanted);
  const auto total = static_cast<double>(wanted);
  const auto term = [&](int64_t count, double share) { return std::pow(static_cast<double>(count) - share * total, 2) / (share * total); };
  EXPECT_LT(term(masked, 0.8) + term(kept, 0.1) + term(changed, 0.1), critical(2));
}

// A loader that starts at a step gives what one that went there gives, across the end of an epoch; and every rank sees its part of the same
// batch.
TEST(TokenStore, LoaderResumesAnywhere) {
  TemporaryFolder folder;
  write_store(folder.path(), {20, 20});
  const SampleRecipe recipe{.max_seq_length = 64, .seed = 2};
  const auto open = [&] { return Dataset(folder.path(), "train", false, recipe); };
  LoaderOptions options{.global_batch_size = 64, .slots = 2, .first_slot = 0, .last_slot = 2, .vocab_size = kVocabulary, .seed = 2};
  const int64_t steps = 2 * open().size() / 64 + 2;
  BatchLoader through(open(), options);
  const auto ids_of = [](const std::vector<Slot>& slots) {
    std::vector<int32_t> ids;
    for (const Slot& slot : slots)
      for (const Batch& batch : slot.micro_batches) {
        const auto tokens = batch["input_ids"].span<int32_t>();
        ids.insert(ids.end(), tokens.begin(), tokens.end());
      }
    return ids;
  };
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<int32_t> expected = ids_of(through.next());
    if (step % 5 != 4 && step + 1 != steps) continue;
    options.start_step = step;
    BatchLoader resumed(open(), options);
    EXPECT_EQ(ids_of(resumed.next()), expected) << "step " << step;
  }
}

TEST(TokenStore, SaysWhatIsWrong) {
  TemporaryFolder folder;
  write_store(folder.path(), {2});
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { Dataset(folder.path(), "train", false, {.max_seq_length = 4}); }),
                  {"max_seq_length is 4"});
  const Dataset dataset(folder.path(), "train");
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { static_cast<void>(dataset.read(dataset.size())); }), {"sample"});
  Manifest manifest = read_manifest(folder.path());
  manifest.splits[0].shards[0].count += 1;
  write_manifest(folder.path(), manifest);
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { Dataset(folder.path(), "train"); }),
                  {"train-0.h5", "2 documents", "the manifest says 3"});
}

}  // namespace mpibert
