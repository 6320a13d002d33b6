#include "mpibert/data/batch_loader.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

constexpr int64_t kCount = 1000;

LoaderOptions options_of(int64_t slots, int64_t first, int64_t last) {
  return {.global_batch_size = 48,
          .slots = slots,
          .first_slot = first,
          .last_slot = last,
          .micro_tokens = 100,
          .max_position_embeddings = 64,
          .vocab_size = kVocabularySize,
          .seed = 9};
}

// A data set on disk for one test.
class BatchLoaderTest : public testing::Test {
 protected:
  BatchLoaderTest() { write_dataset(folder_.path(), kCount, 170); }
  Dataset open() const { return Dataset(folder_.path(), "train"); }
  BatchLoader load(LoaderOptions options) const { return BatchLoader(open(), std::move(options)); }
  TemporaryFolder folder_;
};

std::vector<int32_t> numbers(const Batch& batch, const char* name) {
  const auto values = batch[name].span<int32_t>();
  return {values.begin(), values.end()};
}

// Everything of a batch that a model sees.
std::vector<std::vector<int32_t>> contents(const Batch& batch) {
  std::vector<std::vector<int32_t>> all;
  for (const auto& [name, tensor] : batch.fields()) all.push_back(numbers(batch, name.c_str()));
  return all;
}
std::vector<std::vector<std::vector<int32_t>>> contents(const Slot& slot) {
  std::vector<std::vector<std::vector<int32_t>>> all;
  for (const Batch& batch : slot.micro_batches) all.push_back(contents(batch));
  return all;
}

std::vector<int64_t> ids_of(const std::vector<Slot>& slots) {
  std::vector<int64_t> ids;
  for (const Slot& slot : slots)
    for (const Batch& batch : slot.micro_batches) ids.insert(ids.end(), batch.sample_ids().begin(), batch.sample_ids().end());
  return ids;
}

int64_t tokens_of(const Slot& slot) {
  int64_t tokens = 0;
  for (const Batch& batch : slot.micro_batches) tokens += batch.tokens();
  return tokens;
}

}  // namespace

TEST(StepRange, CoversEachEpoch) {
  EXPECT_EQ(steps_per_epoch(10, 4), 3);
  const auto range = [](int64_t step, bool cross) {
    const StepRange r = step_range(step, 10, 4, cross);
    return std::pair(r.begin, r.end);
  };
  EXPECT_EQ(range(2, true), std::pair(int64_t{8}, int64_t{12}));
  EXPECT_EQ(range(2, false), std::pair(int64_t{8}, int64_t{10}));
  EXPECT_EQ(range(3, false), std::pair(int64_t{10}, int64_t{14}));
  EXPECT_EQ(range(5, false), std::pair(int64_t{18}, int64_t{20}));
}

TEST(DealToSlots, BalancesTokensAndKeepsEverySequence) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 100; ++i) lengths.push_back(1 + i * i % 97);
  for (const int64_t slots : {1, 2, 3, 8, 100, 128}) {
    const auto members = deal_to_slots(lengths, slots);
    std::vector<int64_t> all, tokens;
    for (const auto& of_slot : members) {
      all.insert(all.end(), of_slot.begin(), of_slot.end());
      EXPECT_TRUE(std::is_sorted(of_slot.begin(), of_slot.end()));
      tokens.push_back(0);
      for (const int64_t i : of_slot) tokens.back() += lengths[static_cast<size_t>(i)];
    }
    std::sort(all.begin(), all.end());
    std::vector<int64_t> expected(100);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(all, expected);
    const int64_t mean = std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) / slots;
    EXPECT_LE(*std::max_element(tokens.begin(), tokens.end()), mean + 1 + 97);
    const int64_t spread = *std::max_element(tokens.begin(), tokens.end()) - *std::min_element(tokens.begin(), tokens.end());
    EXPECT_TRUE(slots > 8 || spread <= 8) << spread;
  }
  EXPECT_EQ(deal_to_slots(std::vector<int64_t>{5, 5, 5}, 2), (std::vector<std::vector<int64_t>>{{0, 2}, {1}}));  // ties to the lower number
}

TEST(Pack, FillsMicroBatchesUpToTheBudget) {
  const std::vector<int64_t> lengths = {60, 10, 50, 40, 100, 30, 7};
  const std::vector<int64_t> members = {0, 1, 2, 3, 4, 5};
  const auto bins = pack(members, lengths, 100);
  EXPECT_EQ(bins, (std::vector<std::vector<int64_t>>{{4}, {0, 3}, {1, 2, 5}}));
  EXPECT_TRUE(pack(std::vector<int64_t>{}, lengths, 100).empty());
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { pack(members, lengths, 99); }), {"100 tokens", "micro_tokens = 99"});
}

TEST_F(BatchLoaderTest, FillsEveryFieldOfTheBatch) {
  BatchLoader loader = load(options_of(3, 0, 3));
  for (int step = 0; step < 3; ++step) {
    std::set<int32_t> keys;
    for (const Slot& slot : loader.next()) {
      for (const Batch& batch : slot.micro_batches) {
        ASSERT_LE(batch.tokens(), 100);
        const std::vector<int32_t> cu_seqlens = numbers(batch, "cu_seqlens"), input_ids = numbers(batch, "input_ids"),
                                   types = numbers(batch, "token_type_ids");
        const std::vector<int32_t> positions = numbers(batch, "position_ids"), token_keys = numbers(batch, "token_keys"),
                                   sequence_keys = numbers(batch, "sequence_keys");
        const std::vector<int32_t> labels = numbers(batch, "labels");
        ASSERT_EQ(static_cast<int64_t>(cu_seqlens.size()), batch.sequences() + 1);
        ASSERT_EQ(cu_seqlens.back(), batch.tokens());
        int64_t longest = 0;
        for (size_t i = 0; i < batch.sample_ids().size(); ++i) {
          const Sample expected = closed_form_sample(batch.sample_ids()[i]);
          const size_t begin = static_cast<size_t>(cu_seqlens[i]), length = static_cast<size_t>(cu_seqlens[i + 1]) - begin;
          ASSERT_EQ(length, expected.input_ids.size());
          longest = std::max(longest, static_cast<int64_t>(length));
          EXPECT_EQ(labels[i], expected.label("labels")[0]);
          EXPECT_EQ(sequence_keys[i], token_keys[begin]);
          EXPECT_EQ(token_keys[begin] % 64, 0);
          EXPECT_LT(token_keys[begin], 48 * 64);
          EXPECT_TRUE(keys.insert(token_keys[begin]).second);
          for (size_t t = 0; t < length; ++t) {
            EXPECT_EQ(input_ids[begin + t], expected.input_ids[t]);
            EXPECT_EQ(types[begin + t], expected.token_type_ids[t]);
            EXPECT_EQ(positions[begin + t], static_cast<int32_t>(t));
            EXPECT_EQ(token_keys[begin + t], sequence_keys[i] + static_cast<int32_t>(t));
          }
        }
        EXPECT_EQ(batch.max_seq_length(), longest);
      }
    }
    EXPECT_EQ(keys.size(), 48u);
  }
}

TEST_F(BatchLoaderTest, GivesEachSampleOnceAnEpoch) {
  for (const bool cross_epochs : {false, true}) {
    LoaderOptions options = options_of(4, 0, 4);
    options.cross_epochs = cross_epochs;
    BatchLoader loader = load(options);
    EXPECT_EQ(loader.steps_per_epoch(), 21);  // ceil(1000 / 48)
    std::vector<int64_t> ids;
    while (ids.size() < static_cast<size_t>(kCount)) {
      const std::vector<int64_t> of_step = ids_of(loader.next());
      EXPECT_EQ(of_step.size(), !cross_epochs && loader.step() == 21 ? 40u : 48u);
      ids.insert(ids.end(), of_step.begin(), of_step.end());
    }
    if (!cross_epochs) {
      EXPECT_EQ(loader.step(), 21);
      EXPECT_EQ(std::set<int64_t>(ids.begin(), ids.end()).size(), static_cast<size_t>(kCount));
    } else {  // the batch that crosses over has the first of the next epoch
      EXPECT_EQ(ids.size(), 1008u);
      EXPECT_EQ(std::set<int64_t>(ids.begin(), ids.end()).size(), static_cast<size_t>(kCount));
    }
  }
}

TEST_F(BatchLoaderTest, BatchesDoNotDependOnTheRanks) {
  BatchLoader alone = load(options_of(8, 0, 8));
  std::vector<BatchLoader> ranks;
  for (const auto& [first, last] : {std::pair{0, 3}, std::pair{3, 6}, std::pair{6, 8}}) ranks.push_back(load(options_of(8, first, last)));
  for (int step = 0; step < 25; ++step) {
    const std::vector<Slot> all = alone.next();
    ASSERT_EQ(all.size(), 8u);
    size_t next = 0;
    for (BatchLoader& rank : ranks) {
      for (const Slot& slot : rank.next()) {
        EXPECT_EQ(slot.index, static_cast<int64_t>(next));
        EXPECT_EQ(contents(slot), contents(all[next++]));
      }
    }
    EXPECT_EQ(next, 8u);
  }
}

TEST_F(BatchLoaderTest, SlotsHaveLikeNumbersOfTokens) {
  BatchLoader loader = load(options_of(4, 0, 4));
  for (int step = 0; step < 10; ++step) {
    std::vector<int64_t> tokens;
    for (const Slot& slot : loader.next()) tokens.push_back(tokens_of(slot));
    EXPECT_LE(*std::max_element(tokens.begin(), tokens.end()) - *std::min_element(tokens.begin(), tokens.end()), 5);
  }
}

TEST_F(BatchLoaderTest, ResumesWhereItStopped) {
  BatchLoader whole = load(options_of(2, 0, 2));
  for (int step = 0; step < 30; ++step) whole.next();
  LoaderOptions options = options_of(2, 0, 2);
  options.start_step = 30;
  BatchLoader resumed = load(options);
  EXPECT_EQ(resumed.step(), 30);
  for (int step = 0; step < 5; ++step) {
    const std::vector<Slot> a = whole.next(), b = resumed.next();
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(contents(a[i]), contents(b[i]));
  }
}

TEST_F(BatchLoaderTest, ASmallBatchLeavesSlotsEmpty) {
  LoaderOptions options = options_of(4, 0, 4);
  options.global_batch_size = 2;
  BatchLoader loader = load(options);
  const std::vector<Slot> slots = loader.next();
  ASSERT_EQ(slots.size(), 4u);
  EXPECT_EQ(slots[0].micro_batches.size() + slots[1].micro_batches.size(), 2u);
  EXPECT_TRUE(slots[2].micro_batches.empty() && slots[3].micro_batches.empty());
}

TEST_F(BatchLoaderTest, MasksAnewInEachEpochAndPlacesTheLabels) {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  while (tokens.size() < kVocabularySize) tokens.push_back("t" + std::to_string(tokens.size()));
  LoaderOptions options = options_of(1, 0, 1);
  options.global_batch_size = kCount;
  options.cross_epochs = false;
  options.masking.emplace(Vocabulary::from_tokens(tokens), MaskingOptions{});
  BatchLoader loader = load(options);
  std::vector<std::vector<int32_t>> masks;
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::map<int64_t, std::vector<int32_t>> of_sample;
    const std::vector<Slot> slots = loader.next();
    for (const Batch& batch : slots[0].micro_batches) {
      const std::vector<int32_t> positions = numbers(batch, "masked_lm_positions"), ids = numbers(batch, "masked_lm_ids"),
                                 cu_seqlens = numbers(batch, "cu_seqlens");
      ASSERT_TRUE(std::is_sorted(positions.begin(), positions.end()));
      ASSERT_EQ(positions.size(), ids.size());
      for (size_t p = 0; p < positions.size(); ++p) {
        const size_t i = static_cast<size_t>(std::upper_bound(cu_seqlens.begin(), cu_seqlens.end(), positions[p]) - cu_seqlens.begin()) - 1;
        const int64_t sample = batch.sample_ids()[i];
        EXPECT_EQ(ids[p], closed_form_sample(sample).input_ids[static_cast<size_t>(positions[p] - cu_seqlens[i])]);
        of_sample[sample].push_back(positions[p] - cu_seqlens[i]);
      }
    }
    masks.emplace_back();
    for (const auto& [sample, of_it] : of_sample) masks.back().insert(masks.back().end(), of_it.begin(), of_it.end());
  }
  EXPECT_NE(masks[0], masks[1]);
}

TEST_F(BatchLoaderTest, RefusesWhatTheModelCannotTake) {
  const auto refused = [&](const std::function<void(LoaderOptions&)>& change) {
    LoaderOptions options = options_of(1, 0, 1);
    change(options);
    return error_of(ErrorKind::kInvalidArgument, [&] { load(options); });
  };
  expect_contains(refused([](LoaderOptions& o) { o.max_position_embeddings = 30; }), {"31 tokens", "30 positions", "max_seq_length"});
  expect_contains(refused([](LoaderOptions& o) { o.vocab_size = 999; }), {"1000 tokens", "999", "vocab_size"});
  expect_contains(refused([](LoaderOptions& o) { o.micro_tokens = 30; }), {"31 tokens", "micro_tokens = 30"});
  expect_contains(refused([](LoaderOptions& o) { o.global_batch_size = 0; }), {"global_batch_size is 0"});
  expect_contains(refused([](LoaderOptions& o) { o.last_slot = 2; }), {"slots 0 to 2 of 1"});
  expect_contains(refused([](LoaderOptions& o) { o.global_batch_size = int64_t{1} << 30; }), {"2^31 keys"});
}

TEST_F(BatchLoaderTest, AnErrorInItsThreadReachesNextAfterTheGoodSteps) {
  // The third shard, samples 340 to 509, is damaged inside; its size is right, so that only reading finds it.
  std::string bytes = read_text(folder_ / "train-2.h5");
  for (size_t i = bytes.size() / 2; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ 1);
  write_text(folder_ / "train-2.h5", bytes);
  LoaderOptions options = options_of(1, 0, 1);
  options.order = SampleOrder::kSequential;
  options.global_batch_size = 100;
  BatchLoader loader = load(options);
  for (int good = 0; good < 2; ++good) EXPECT_EQ(ids_of(loader.next()).size(), 100u);
  for (int again = 0; again < 2; ++again) expect_contains(error_of(ErrorKind::kCorrupt, [&] { loader.next(); }), {"train-2.h5"});
}

TEST_F(BatchLoaderTest, CanBeLeftAtAnyMoment) {
  for (int steps = 0; steps < 4; ++steps) {
    BatchLoader loader = load(options_of(2, 0, 1));
    for (int step = 0; step < steps; ++step) loader.next();
  }
}

TEST_F(BatchLoaderTest, EvaluationGivesEachSampleOnceForAnyRanks) {
  for (const int64_t ranks : {1, 3, 7, 1200}) {
    std::vector<int64_t> ids;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const auto [begin, end] = evaluation_range(kCount, rank, ranks);
      EXPECT_LE(end - begin, (kCount + ranks - 1) / ranks);
      if (begin == end) continue;
      if (ranks == 1200 && rank > 3) {  // enough of the small ones
        ids.push_back(begin);
        continue;
      }
      EvaluationLoader loader(
          open(), {.begin = begin, .end = end, .micro_tokens = 200, .max_position_embeddings = 64, .vocab_size = kVocabularySize});
      while (const std::optional<Batch> batch = loader.next()) {
        EXPECT_LE(batch->tokens(), 200);
        const std::vector<int32_t> labels = numbers(*batch, "labels");
        for (size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], batch->sample_ids()[i] % 3);
        ids.insert(ids.end(), batch->sample_ids().begin(), batch->sample_ids().end());
      }
    }
    std::sort(ids.begin(), ids.end());
    ASSERT_EQ(ids.size(), static_cast<size_t>(kCount));
    for (int64_t i = 0; i < kCount; ++i) EXPECT_EQ(ids[static_cast<size_t>(i)], i);
  }
}

TEST(BatchLoaderOfChoices, EveryoneHasAsMany) {
  const Schema labels = {{.name = kChoiceLengths, .per = Per::kPrediction}};
  const TemporaryFolder folder;
  std::vector<Sample> samples;
  for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{2, 1}, {1, 1, 1}})
    samples.push_back({.input_ids = {1, 2, 3}, .token_type_ids = {0, 0, 1}, .labels = {{kChoiceLengths, lengths}}});
  write_manifest(folder.path(),
                 {.task = "test",
                  .max_seq_length = 8,
                  .vocabulary_size = kVocabularySize,
                  .vocabulary_sha256 = "abc",
                  .splits = {{.name = "train", .labels = labels, .shards = {write_shard(folder / "train.h5", samples, labels)}}}});
  BatchLoader loader(Dataset(folder.path(), "train"),
                     {.global_batch_size = 2, .vocab_size = kVocabularySize, .order = SampleOrder::kSequential});
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { loader.next(); }),
                  {"sample 1 has 3 choices, sample 0 has 2", "prepare the data again"});
}

// Samples of three sequences: none is split over micro-batches or slots, positions begin anew in each, and keys are those of the places.
TEST(BatchLoaderOfChoices, ASampleStaysWhole) {
  constexpr int64_t kChoices = 3, kPositions = 16;
  const auto lengths_of = [](int64_t id) {
    return std::vector<int32_t>{1 + static_cast<int32_t>(id % 5), 4, 2 + static_cast<int32_t>(id % 7)};
  };
  const Schema labels = {{.name = kChoiceLengths, .per = Per::kPrediction}, {.name = "labels", .per = Per::kSequence}};
  const TemporaryFolder folder;
  std::vector<Sample> samples;
  for (int64_t id = 0; id < 50; ++id) {
    Sample& sample =
        samples.emplace_back(Sample{.id = id,
                                    .input_ids = {},
                                    .token_type_ids = {},
                                    .labels = {{kChoiceLengths, lengths_of(id)}, {"labels", {static_cast<int32_t>(id % kChoices)}}}});
    for (const int32_t length : lengths_of(id))
      for (int32_t i = 0; i < length; ++i) sample.input_ids.push_back(static_cast<int32_t>(id)), sample.token_type_ids.push_back(i > 0);
  }
  write_manifest(folder.path(),
                 {.task = "test",
                  .max_seq_length = 8,
                  .vocabulary_size = kVocabularySize,
                  .vocabulary_sha256 = "abc",
                  .splits = {{.name = "train", .labels = labels, .shards = {write_shard(folder / "train.h5", samples, labels)}}}});
  LoaderOptions options{.global_batch_size = 12,
                        .slots = 4,
                        .last_slot = 4,
                        .micro_tokens = 24,
                        .max_position_embeddings = kPositions,
                        .vocab_size = kVocabularySize,
                        .cross_epochs = false};
  BatchLoader loader(Dataset(folder.path(), "train"), options);
  for (int step = 0; step < 5; ++step) {
    std::set<int32_t> places;
    for (const Slot& slot : loader.next()) {
      for (const Batch& batch : slot.micro_batches) {
        EXPECT_LE(batch.tokens(), 24);
        EXPECT_EQ(batch.choices(), kChoices);
        EXPECT_EQ(batch.samples(), static_cast<int64_t>(batch.sample_ids().size()));
        EXPECT_FALSE(batch.has(kChoiceLengths));
        const std::vector<int32_t> ends = numbers(batch, "cu_seqlens"), keys = numbers(batch, "sequence_keys"),
                                   token_keys = numbers(batch, "token_keys"), positions = numbers(batch, "position_ids");
        ASSERT_EQ(static_cast<int64_t>(keys.size()), batch.sequences());
        for (size_t s = 0; s < keys.size(); ++s) {
          const int64_t id = batch.sample_ids()[s / kChoices];
          EXPECT_EQ(ends[s + 1] - ends[s], lengths_of(id)[s % kChoices]);
          EXPECT_EQ(keys[s] % kPositions, 0);
          EXPECT_TRUE(places.insert(static_cast<int32_t>(keys[s] / kPositions)).second);
          EXPECT_EQ(keys[s] / kPositions, keys[s - s % kChoices] / kPositions + static_cast<int32_t>(s % kChoices))
              << "choices are neighbours";
          for (int32_t t = ends[s]; t < ends[s + 1]; ++t) {
            EXPECT_EQ(positions[static_cast<size_t>(t)], t - ends[s]);
            EXPECT_EQ(token_keys[static_cast<size_t>(t)], keys[s] + t - ends[s]);
            EXPECT_EQ(numbers(batch, "input_ids")[static_cast<size_t>(t)], id);
          }
        }
        for (size_t i = 0; i < batch.sample_ids().size(); ++i) EXPECT_EQ(numbers(batch, "labels")[i], batch.sample_ids()[i] % kChoices);
      }
    }
    const auto sequences = static_cast<int32_t>(kChoices * (step < 4 ? 12 : 2));
    EXPECT_EQ(static_cast<int32_t>(places.size()), sequences);
    EXPECT_EQ(*places.rbegin(), sequences - 1);
  }
  options.max_position_embeddings = 7;
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { BatchLoader(Dataset(folder.path(), "train"), options); }),
                  {"sequences of up to 8 tokens, the model has 7 positions"});
  options.max_position_embeddings = kPositions;
  options.micro_tokens = 16;
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { BatchLoader(Dataset(folder.path(), "train"), options); }),
                  {"a sample of 17 tokens", "micro_tokens = 16"});
  options.micro_tokens = 24;
  options.global_batch_size = (int64_t{1} << 31) / kPositions / kChoices + 1;
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { BatchLoader(Dataset(folder.path(), "train"), options); }),
                  {"times 3 sequences", "2^31 keys"});
}

}  // namespace mpibert
