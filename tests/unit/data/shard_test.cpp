#include "mpibert/data/shard.h"

#include <bit>

#include "data/hdf5.h"
#include "mpibert/base/sha256.h"
#include "tests/unit/data/data_support.h"

// HDF5 1.10 does not free all that it had read of an object header before it found the checksum wrong; the damage tests below make it do so
// thousands of times. That this project's own handles are closed is what open_objects() shows.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace mpibert {

using namespace test;

namespace {

// All kinds of labels: per token, sequence (a float) and prediction, with a sample that has no prediction.
Schema rich_labels() {
  return {{.name = "masked_lm_positions", .per = Per::kPrediction},
          {.name = "masked_lm_ids", .per = Per::kPrediction},
          {.name = "tags", .per = Per::kToken},
          {.name = "score", .dtype = DType::kFloat32, .per = Per::kSequence}};
}

std::vector<Sample> rich_samples(int64_t count, int32_t vocabulary_size = 1000) {
  std::vector<Sample> samples = closed_form_samples(count);
  for (Sample& sample : samples) {
    sample.input_ids.back() = vocabulary_size - 1;
    std::vector<int32_t> positions, ids, tags(sample.input_ids.size(), static_cast<int32_t>(-sample.id));
    for (int32_t p = 1; p < static_cast<int32_t>(sample.input_ids.size()) && p <= sample.id % 4; ++p) {
      positions.push_back(p);
      ids.push_back(vocabulary_size - p);
    }
    const float score = 0.1f * static_cast<float>(sample.id);
    sample.labels = {
        {"masked_lm_positions", positions}, {"masked_lm_ids", ids}, {"tags", tags}, {"score", {std::bit_cast<int32_t>(score)}}};
  }
  return samples;
}

}  // namespace

TEST(Shard, GivesBackWhatWasWritten) {
  TemporaryFolder folder;
  for (const int32_t vocabulary_size : {1000, 65536, 65537, 200000}) {
    const std::vector<Sample> samples = rich_samples(500, vocabulary_size);
    const ShardEntry entry = write_shard(folder / "a.h5", samples, rich_labels(), vocabulary_size);
    const ShardReader reader(folder / "a.h5");
    EXPECT_EQ(reader.size(), 500);
    EXPECT_EQ(reader.labels(), rich_labels());
    EXPECT_EQ(reader.options().vocabulary_size, vocabulary_size);
    EXPECT_EQ(reader.read(0, 500), samples);
    EXPECT_EQ(reader.read(250, 250), std::vector<Sample>{});
    EXPECT_EQ(reader.read(499, 500), std::vector<Sample>({samples[499]}));
    EXPECT_EQ(reader.length(7), static_cast<int64_t>(samples[7].input_ids.size()));
    EXPECT_EQ(entry.tokens, reader.tokens());
    EXPECT_EQ(entry.longest, 31);
    EXPECT_EQ(entry.bytes, static_cast<int64_t>(read_text(folder / "a.h5").size()));
    EXPECT_EQ(entry.sha256, sha256_hex_of_file(folder / "a.h5"));
  }
}

TEST(Shard, NumbersSamplesFromItsFirstId) {
  TemporaryFolder folder;
  write_shard(folder / "a.h5", closed_form_samples(5), class_labels());
  EXPECT_EQ(ShardReader(folder / "a.h5", 100).read(2, 3)[0].id, 102);
}

TEST(Shard, MayBeEmpty) {
  TemporaryFolder folder;
  write_shard(folder / "a.h5", {}, rich_labels());
  EXPECT_EQ(ShardReader(folder / "a.h5").size(), 0);
}

TEST(Shard, EqualSamplesGiveEqualBytes) {
  TemporaryFolder folder;
  const ShardEntry a = write_shard(folder / "a.h5", rich_samples(300), rich_labels());
  const std::vector<char> disturb_the_heap(1 << 20, 'x');
  const ShardEntry b = write_shard(folder / "b.h5", rich_samples(300), rich_labels());
  EXPECT_EQ(a.sha256, b.sha256);
  EXPECT_NE(a.sha256, write_shard(folder / "c.h5", rich_samples(301), rich_labels()).sha256);
}

TEST(Shard, AppearsOnlyAtCommit) {
  TemporaryFolder folder;
  {
    ShardWriter writer(folder / "a.h5", class_labels(), {.vocabulary_size = kVocabularySize});
    writer.add(closed_form_sample(0));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_shard(folder / "a.h5", closed_form_samples(1), class_labels());
  EXPECT_FALSE(std::filesystem::exists(folder / "a.h5.tmp"));
}

TEST(ShardWriter, RefusesWhatTheSchemaDoesNotSay) {
  TemporaryFolder folder;
  ShardWriter writer(folder / "a.h5", class_labels(), {.vocabulary_size = 10});
  const Sample good{.id = 4, .input_ids = {1, 2}, .token_type_ids = {0, 1}, .labels = {{"labels", {1}}}};
  const auto refused = [&](const std::function<void(Sample&)>& change) {
    Sample sample = good;
    change(sample);
    return error_of(ErrorKind::kInvalidArgument, [&] { writer.add(sample); });
  };
  expect_contains(refused([](Sample& s) { s.input_ids[1] = 10; }), {"sample 4", "vocabulary of 10"});
  expect_contains(refused([](Sample& s) { s.input_ids[1] = -1; }), {"vocabulary of 10"});
  expect_contains(refused([](Sample& s) { s.token_type_ids[0] = 2; }), {"token type"});
  expect_contains(refused([](Sample& s) { s.token_type_ids.pop_back(); }), {"2 input_ids and 1 token_type_ids"});
  expect_contains(refused([](Sample& s) { s.input_ids.clear(), s.token_type_ids.clear(); }), {"0 input_ids"});
  expect_contains(refused([](Sample& s) { s.labels[0].first = "label"; }), {"label 'label'", "'labels'"});
  expect_contains(refused([](Sample& s) { s.labels[0].second = {1, 2}; }), {"2 values of label 'labels', expected 1"});
  expect_contains(refused([](Sample& s) { s.labels.clear(); }), {"0 labels, the schema has 1"});
  EXPECT_EQ(writer.size(), 0);
}

TEST(ShardWriter, RefusesLengthsOfChoicesThatAreNotTheSamples) {
  TemporaryFolder folder;
  ShardWriter writer(folder / "a.h5", {{.name = kChoiceLengths, .per = Per::kPrediction}}, {.vocabulary_size = 10});
  for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{1, 1}, {4, -1}, {3, 0}, {}}) {
    const Sample sample{.id = 4, .input_ids = {1, 2, 3}, .token_type_ids = {0, 1, 1}, .labels = {{kChoiceLengths, lengths}}};
    expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { writer.add(sample); }), {"sample 4", "choice_lengths", "its 3 tokens"});
  }
}

TEST(ShardWriter, NamesTheFileItCannotMake) {
  TemporaryFolder folder;
  expect_contains(error_of(ErrorKind::kIo, [&] { write_shard(folder / "absent" / "a.h5", closed_form_samples(1), class_labels()); }),
                  {"absent/a.h5"});
}

TEST(ShardReader, SaysWhyAFileCannotBeOpened) {
  TemporaryFolder folder;
  expect_contains(error_of(ErrorKind::kNotFound, [&] { ShardReader(folder / "a.h5"); }), {"a.h5", "No such file"});
  write_text(folder / "a.h5", "this is text");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { ShardReader(folder / "a.h5"); }), {"a.h5", "open it as HDF5"});
  write_text(folder / "a.h5", "");
  EXPECT_FALSE(error_of(ErrorKind::kCorrupt, [&] { ShardReader(folder / "a.h5"); }).empty());
}

TEST(ShardReader, DetectsEveryTruncation) {
  TemporaryFolder folder;
  write_shard(folder / "a.h5", rich_samples(40), rich_labels());
  const std::string whole = read_text(folder / "a.h5");
  for (size_t bytes = 0; bytes < whole.size(); bytes += 97) {
    write_text(folder / "a.h5", whole.substr(0, bytes));
    EXPECT_THROW(ShardReader(folder / "a.h5").read(0, 40), Error) << bytes;
  }
}

// Every third byte of the file, one at a time: an error, or a byte that carries no meaning; never other samples.
TEST(ShardReader, NoFlippedBitGoesUnseen) {
  TemporaryFolder folder;
  const std::vector<Sample> samples = rich_samples(40);
  write_shard(folder / "a.h5", samples, rich_labels());
  const std::string whole = read_text(folder / "a.h5");
  size_t detected = 0;
  for (size_t i = 0; i < whole.size(); i += 3) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << i % 8));
    write_text(folder / "a.h5", bytes);
    try {
      const ShardReader reader(folder / "a.h5");
      ASSERT_EQ(reader.read(0, reader.size()), samples) << "byte " << i;
    } catch (const Error& error) {
      ++detected;
      ASSERT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::kCorrupt)) << error.what();
      ASSERT_NE(std::string(error.what()).find("a.h5"), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(detected, whole.size() / 12);
  EXPECT_EQ(hdf5::open_objects(), 0);
}

namespace {

// A shard written number by number, so that it can lie and still have good checksums.
struct RawShard {
  std::string format = "mpibert-shard", layout = "flat",
              labels = "labels:int32:sequence masked_lm_positions:int32:prediction masked_lm_ids:int32:prediction";
  int64_t version = 1, count = 2, tokens = 5, vocabulary_size = 100;
  std::vector<int64_t> offsets = {0, 2, 5}, prediction_offsets = {0, 1, 3};
  std::vector<uint16_t> input_ids = {1, 2, 3, 4, 5};
  std::vector<uint8_t> token_type_ids = {0, 0, 0, 1, 1};
  std::vector<int32_t> label = {0, 1}, positions = {1, 0, 2}, ids = {7, 8, 9}, choice_lengths = {};
  bool wide_ids = false;

  void write(const std::filesystem::path& path) const {
    hdf5::File file = hdf5::File::create(path);
    file.write_text("format", format);
    file.write_integer("version", version);
    file.write_text("layout", layout);
    file.write_integer("count", count);
    file.write_integer("tokens", tokens);
    file.write_integer("vocabulary_size", vocabulary_size);
    file.write_text("vocabulary_sha256", "abc");
    file.write_text("labels", labels);
    const auto put = [&](const char* name, hdf5::Type type, const auto& values) {
      file.write(name, type, values.data(), static_cast<int64_t>(values.size()));
    };
    put("offsets", hdf5::Type::kInt64, offsets);
    if (wide_ids) put("input_ids", hdf5::Type::kInt32, std::vector<int32_t>(input_ids.begin(), input_ids.end()));
    else put("input_ids", hdf5::Type::kUInt16, input_ids);
    put("token_type_ids", hdf5::Type::kUInt8, token_type_ids);
    put("prediction_offsets", hdf5::Type::kInt64, prediction_offsets);
    put("labels", hdf5::Type::kInt32, label);
    put("masked_lm_positions", hdf5::Type::kInt32, positions);
    put("masked_lm_ids", hdf5::Type::kInt32, ids);
    if (!choice_lengths.empty()) put("choice_lengths", hdf5::Type::kInt32, choice_lengths);
    file.close();
  }
};

}  // namespace

TEST(ShardReader, DoesNotBelieveLies) {
  TemporaryFolder folder;
  const auto corrupt = [&](const std::function<void(RawShard&)>& lie, const std::vector<std::string>& expected) {
    RawShard shard;
    lie(shard);
    shard.write(folder / "lie.h5");
    const std::string message = error_of(ErrorKind::kCorrupt, [&] { ShardReader(folder / "lie.h5").read(0, 2); });
    expect_contains(message, {"lie.h5"});
    expect_contains(message, expected);
  };
  RawShard().write(folder / "truth.h5");
  EXPECT_EQ(ShardReader(folder / "truth.h5").read(0, 2)[1].label("masked_lm_ids"), std::vector<int32_t>({8, 9}));

  corrupt([](RawShard& s) { s.format = "other"; }, {"format is 'other'"});
  corrupt([](RawShard& s) { s.version = 2; }, {"version 2", "reads version 1"});
  corrupt([](RawShard& s) { s.layout = "fixed"; }, {"layout is 'fixed'"});
  corrupt([](RawShard& s) { s.count = -1; }, {"count is -1"});
  corrupt([](RawShard& s) { s.count = 3; }, {"offsets has 3 elements, expected 4"});
  corrupt([](RawShard& s) { s.count = int64_t{1} << 39; }, {"offsets has 3 elements"});
  corrupt([](RawShard& s) { s.tokens = 6; }, {"input_ids has 5 elements, expected 6"});
  corrupt([](RawShard& s) { s.vocabulary_size = 0; }, {"vocabulary_size is 0"});
  corrupt([](RawShard& s) { s.vocabulary_size = 5; }, {"input_ids[4] = 5", "vocabulary of 5", "prepare the data again"});
  corrupt([](RawShard& s) { s.vocabulary_size = 70000; }, {"input_ids holds uint16, expected int32"});
  corrupt([](RawShard& s) { s.wide_ids = true; }, {"input_ids holds int32, expected uint16"});
  corrupt([](RawShard& s) { s.offsets = {1, 2, 5}; }, {"offsets[0] = 1"});
  corrupt([](RawShard& s) { s.offsets = {0, 0, 5}; }, {"offsets[1] = 0 does not ascend"});
  corrupt([](RawShard& s) { s.offsets = {0, 9, 5}; }, {"offsets[2] = 5 does not ascend from 9"});
  corrupt([](RawShard& s) { s.offsets = {0, 2, 6}; }, {"offsets[2] = 6, expected 5"});
  corrupt([](RawShard& s) { s.token_type_ids = {0, 0, 0, 1}; }, {"token_type_ids has 4 elements, expected 5"});
  corrupt([](RawShard& s) { s.token_type_ids[3] = 2; }, {"token_type_ids[3] = 2"});
  corrupt([](RawShard& s) { s.prediction_offsets = {0, 1, 4}; }, {"masked_lm_positions has 3 elements, expected 4"});
  corrupt([](RawShard& s) { s.label = {0}; }, {"labels has 1 elements, expected 2"});
  corrupt([](RawShard& s) { s.positions = {2, 0, 2}; }, {"masked_lm_positions: value 0 of sample 0 is 2, expected 0 to 1"});
  corrupt([](RawShard& s) { s.positions = {1, 2, 2}; }, {"masked_lm_positions: value 1 of sample 1 is 2, which does not ascend"});
  corrupt([](RawShard& s) { s.ids = {7, 8, 100}; }, {"masked_lm_ids: value 1 of sample 1 is 100"});
  const auto lengths = [](RawShard& s, std::vector<int32_t> of_both) {  // of one choice and of two, of 2 and 3 tokens
    s.labels = "choice_lengths:int32:prediction";
    s.choice_lengths = std::move(of_both);
  };
  corrupt([&](RawShard& s) { lengths(s, {2, 1, 3}); }, {"choice_lengths: the lengths of sample 1", "its 3 tokens"});
  corrupt([&](RawShard& s) { lengths(s, {2, 0, 3}); }, {"choice_lengths: the lengths of sample 1"});
  corrupt([](RawShard& s) { s.labels = "labels:int32"; }, {"'labels:int32' is not name:type:per"});
  corrupt([](RawShard& s) { s.labels = "labels:int64:sequence"; }, {"does not have type int32 or fp32"});
  corrupt([](RawShard& s) { s.labels = "offsets:int32:sequence"; }, {"name that is taken"});
  corrupt([](RawShard& s) { s.labels = "more:int32:sequence"; }, {"find dataset more"});
  corrupt([](RawShard& s) { s.labels = "labels:fp32:sequence"; }, {"labels holds int32, expected float32"});
}

TEST(ShardReader, ChecksTheRowsAskedFor) {
  TemporaryFolder folder;
  write_shard(folder / "a.h5", closed_form_samples(5), class_labels());
  const ShardReader reader(folder / "a.h5");
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { reader.read(3, 6); }), {"rows 3 to 6", "of 5"});
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { reader.length(5); }), {"row 5"});
}

}  // namespace mpibert
