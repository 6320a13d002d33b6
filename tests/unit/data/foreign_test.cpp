#include "mpibert/data/foreign.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/hdf5.h"
#include "tests/unit/data/data_support.h"
#include "tests/unit/data/foreign_support.h"

namespace mpibert {

using namespace test;

namespace {

const std::filesystem::path kFixtures = std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests" / "golden" / "fixtures" / "foreign";

std::vector<Sample> samples_of_fixtures() {
  std::vector<Sample> samples;
  std::ifstream lines(kFixtures / "samples.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line);
    samples.push_back({.id = std::ssize(samples),
                       .input_ids = row["input_ids"],
                       .token_type_ids = row["segment_ids"],
                       .labels = {{"masked_lm_positions", row["masked_lm_positions"]},
                                  {"masked_lm_ids", row["masked_lm_ids"]},
                                  {"next_sentence_labels", {row["next_sentence_labels"].get<int32_t>()}}}});
  }
  return samples;
}

class ForeignFormats : public testing::TestWithParam<ForeignFormat> {};
std::string test_name(const testing::TestParamInfo<ForeignFormat>& format) {
  std::string name(name_of(format.param));
  std::erase(name, '-');
  return name;
}

// How many there are; none if an error, which has to name the file, says what is wrong.
std::optional<size_t> samples_of_damaged(const std::filesystem::path& path) {
  try {
    return read_foreign(path, 1000).size();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    return std::nullopt;
  }
}

// A table of an HDF5 file is another one, all others stay.
class Tampering {
 public:
  explicit Tampering(const std::filesystem::path& path) : path_(path) {}
  void write(const std::string& left_out = "") const {
    write_with(left_out, [](hdf5::File&) {});
  }
  void write_with(const std::string& changed, const std::function<void(hdf5::File&)>& add) const {
    hdf5::File file = hdf5::File::create(path_);
    for (const auto& [name, columns] :
         {std::pair{"input_ids", 4}, {"input_mask", 4}, {"segment_ids", 4}, {"masked_lm_positions", 2}, {"masked_lm_ids", 2}})
      if (changed != name) write_table(file, name, hdf5::Type::kInt32, 3, columns, rows(name, columns));
    if (changed != "next_sentence_labels")
      file.write_table("next_sentence_labels", hdf5::Type::kInt8, 3, std::nullopt, 0,
                       [](int64_t begin, int64_t end) { return std::vector<int32_t>(end - begin, 1); });
    add(file);
    file.close();
  }
  // The same numbers in every row.
  static void write_table(hdf5::File& file, const std::string& name, hdf5::Type type, int64_t count, int64_t columns,
                          const std::vector<int32_t>& row) {
    file.write_table(name, type, count, columns, 0, [&](int64_t begin, int64_t end) {
      std::vector<int32_t> block;
      for (int64_t i = begin; i < end; ++i) block.insert(block.end(), row.begin(), row.end());
      return block;
    });
  }
  std::string error(const std::string& changed, const std::function<void(hdf5::File&)>& add) const {
    write_with(changed, add);
    return error_of(ErrorKind::kCorrupt, [this] { read_foreign(path_, 1000); });
  }
  std::string error_of_row(const std::string& name, const std::vector<int32_t>& row) const {
    return error(name, [&](hdf5::File& file) { write_table(file, name, hdf5::Type::kInt32, 3, std::ssize(row), row); });
  }

 private:
  static std::vector<int32_t> rows(const std::string& name, int64_t columns) {
    if (name == "input_mask") return {1, 1, 1, 0};
    if (name == "segment_ids") return {0, 0, 1, 0};
    if (name == "input_ids") return {7, 8, 9, 0};
    return name == "masked_lm_positions" ? std::vector<int32_t>{2, 0} : std::vector<int32_t>(static_cast<size_t>(columns), 5);
  }
  std::filesystem::path path_;
};

}  // namespace

TEST_P(ForeignFormats, GiveBackWhatWasWritten) {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = masked_samples(2500);  // more than a block of rows
  write_foreign(GetParam(), folder / "a", samples);
  EXPECT_EQ(open_foreign(folder / "a", 1000)->format(), GetParam());
  EXPECT_EQ(open_foreign(folder / "a", 1000)->widths().max_seq_length, GetParam() == ForeignFormat::kMlperfVarlength ? 0 : 40);
  EXPECT_EQ(read_foreign(folder / "a", 1000), samples);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.tmp"));
}

TEST_P(ForeignFormats, EqualSamplesGiveEqualBytes) {
  const TemporaryFolder folder;
  write_foreign(GetParam(), folder / "a", masked_samples(300));
  const std::vector<char> disturb_the_heap(1 << 20, 'x');
  write_foreign(GetParam(), folder / "b", masked_samples(300));
  EXPECT_EQ(read_text(folder / "a"), read_text(folder / "b"));
}

TEST_P(ForeignFormats, RefuseIdsBeyondTheVocabulary) {
  const TemporaryFolder folder;
  write_foreign(GetParam(), folder / "a", masked_samples(5));
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_foreign(folder / "a", 500); }),
                  {(folder / "a").string(), " 0: input_ids[30] = 510", "0 to 499", "vocabulary"});
}

TEST_P(ForeignFormats, RefuseSamplesWithoutMasksOrPairs) {
  const TemporaryFolder folder;
  Sample sample = masked_sample(3);
  sample.labels.erase(sample.labels.begin());
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { write_foreign(GetParam(), folder / "a", {sample}); }),
                  {"sample 3 has no masked_lm_positions", "--masking static"});
  sample = masked_sample(3);
  sample.labels.pop_back();
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { write_foreign(GetParam(), folder / "a", {sample}); }),
                  {"sample 3 has no next_sentence_labels"});
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
}

// Any byte that is another gives an error or samples that obey the rules; a file that was cut off gives an error, or, of a TFRecord that
// ends between records, fewer samples.
TEST_P(ForeignFormats, SeeDamage) {
  const TemporaryFolder folder;
  write_foreign(GetParam(), folder / "whole", masked_samples(40));
  const std::string whole = read_text(folder / "whole");
  size_t seen = 0;
  for (size_t place = 0; place < whole.size(); place += 1 + whole.size() / 300) {
    write_text(folder / "a", whole);
    flip_byte(folder / "a", place);
    seen += samples_of_damaged(folder / "a") ? 0 : 1;
    truncate_to(folder / "a", place);
    const std::optional<size_t> left = samples_of_damaged(folder / "a");
    EXPECT_TRUE(!left || (GetParam() == ForeignFormat::kTfRecord && *left < 40)) << place;
  }
  EXPECT_GT(seen, 10u);
}

INSTANTIATE_TEST_SUITE_P(All, ForeignFormats,
                         testing::Values(ForeignFormat::kTfRecord, ForeignFormat::kNvidia, ForeignFormat::kMlperf,
                                         ForeignFormat::kMlperfVarlength),
                         test_name);

TEST(Foreign, ReadsWhatOthersWrote) {
  const std::vector<Sample> expected = samples_of_fixtures();
  ASSERT_EQ(expected.size(), 11u);
  for (const auto& [file, format] : {std::pair{"google.tfrecord", ForeignFormat::kTfRecord},
                                     {"nvidia.hdf5", ForeignFormat::kNvidia},
                                     {"mlperf.hdf5", ForeignFormat::kMlperf},
                                     {"varlength.hdf5", ForeignFormat::kMlperfVarlength},
                                     {"packed.hdf5", ForeignFormat::kMlperfPacked}}) {
    EXPECT_EQ(open_foreign(kFixtures / file, 200)->format(), format) << file;
    EXPECT_EQ(read_foreign(kFixtures / file, 200), expected) << file;
  }
  EXPECT_EQ(open_foreign(kFixtures / "nvidia.hdf5", 200)->widths().max_predictions_per_seq, 4);
}

TEST(Foreign, KeepsToInt16WhereTheFormatDoes) {
  const TemporaryFolder folder;
  for (const ForeignFormat format : {ForeignFormat::kMlperf, ForeignFormat::kMlperfVarlength}) {
    EXPECT_NO_THROW(make_foreign_writer(format, folder / "a", kWidths, 32768));
    expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { make_foreign_writer(format, folder / "a", kWidths, 32769); }),
                    {"int16", "32767", "32769", "nvidia or tfrecord"});
    expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { write_foreign(format, folder / "a", masked_samples(200, 100000), 0); }),
                    {"has token", "32767", "nvidia or tfrecord"});
  }
  write_foreign(ForeignFormat::kNvidia, folder / "a", masked_samples(200, 100000), 100000);
  EXPECT_EQ(read_foreign(folder / "a", 100000), masked_samples(200, 100000));
}

TEST(Foreign, RefusesWhatDoesNotFitTheRows) {
  const TemporaryFolder folder;
  const auto narrow = make_foreign_writer(ForeignFormat::kNvidia, folder / "a", {.max_seq_length = 39, .max_predictions_per_seq = 5}, 1000);
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { narrow->add(masked_sample(0)); }),
                  {"sample 0 has 40 tokens", "39", "--max-seq-length"});
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { narrow->add(masked_sample(6)); }),
                  {"sample 6 has 6 predictions", "5", "--max-predictions-per-seq"});
  Sample first_masked = masked_sample(2);
  first_masked.labels[0].second[0] = 0;
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { narrow->add(first_masked); }), {"first token masked", "tfrecord"});
  expect_contains(
      error_of(ErrorKind::kInvalidArgument, [&] { make_foreign_writer(ForeignFormat::kMlperfPacked, folder / "a", kWidths, 1000); }),
      {"mlperf-varlength"});
}

TEST(Foreign, SaysWhatItDoesNotRead) {
  const TemporaryFolder folder;
  write_text(folder / "a.parquet", "PAR1 and so on PAR1");
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { read_foreign(folder / "a.parquet"); }), {"Parquet", "lddl", "pyarrow"});
  write_text(folder / "a.gz", "\x1f\x8b\x08");
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { read_foreign(folder / "a.gz"); }), {"gzip -d"});
  write_text(folder / "a.txt", "Some text that is no file of samples.");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_foreign(folder / "a.txt"); }), {"record 0", "no TFRecord"});
  write_shard(folder / "a.h5", closed_form_samples(3), class_labels());
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { read_foreign(folder / "a.h5"); }), {"shard of mpibert", "folder"});
  EXPECT_FALSE(error_of(ErrorKind::kNotFound, [&] { read_foreign(folder / "none"); }).empty());
}

TEST(Foreign, NamesWhatIsWrongInHdf5) {
  const TemporaryFolder folder;
  const Tampering file(folder / "a.hdf5");
  file.write();
  EXPECT_EQ(read_foreign(folder / "a.hdf5", 1000).size(), 3u);
  const auto nothing = [](hdf5::File&) {};
  for (const char* name : {"input_ids", "input_mask", "segment_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels"})
    expect_contains(file.error(name, nothing), {"a.hdf5", std::string("no dataset ") + name});
  const auto other_rows = [](hdf5::File& to) { Tampering::write_table(to, "segment_ids", hdf5::Type::kInt8, 2, 4, {0, 0, 1, 0}); };
  expect_contains(file.error("segment_ids", other_rows), {"segment_ids has 2 rows", "input_ids has 3", "not whole"});
  const std::vector<float> floats(3, 1.0f);
  expect_contains(
      file.error("next_sentence_labels", [&](hdf5::File& to) { to.write("next_sentence_labels", hdf5::Type::kFloat32, floats.data(), 3); }),
      {"next_sentence_labels", "integers"});
  const auto ragged = [](hdf5::File& to) {
    to.write_ragged_table("masked_lm_ids", hdf5::Type::kInt16, 3, [](int64_t) { return std::span<const int32_t>(); });
  };
  expect_contains(file.error("masked_lm_ids", ragged), {"masked_lm_ids", "not a table"});
  expect_contains(file.error_of_row("input_mask", {1, 0, 1, 0}), {"row 0", "input_mask[2] = 1, expected 0"});
  expect_contains(file.error_of_row("input_mask", {0, 0, 0, 0}), {"row 0", "no token"});
  expect_contains(file.error_of_row("input_ids", {7, 8, 1000, 0}), {"row 0", "input_ids[2] = 1000", "0 to 999"});
  expect_contains(file.error_of_row("input_ids", {7, -8, 9, 0}), {"row 0", "input_ids[1] = -8"});
  expect_contains(file.error_of_row("segment_ids", {0, 0, 2, 0}), {"segment_ids[2] = 2, expected 0 to 1"});
  expect_contains(file.error_of_row("segment_ids", {0, 0, 1}), {"segment_ids has 3 columns, expected 4"});
  expect_contains(file.error_of_row("masked_lm_positions", {3, 0}), {"masked_lm_positions[0] = 3, expected 0 to 2"});
  expect_contains(file.error_of_row("masked_lm_positions", {2, 1}), {"masked_lm_positions[1] = 1 does not ascend"});
  expect_contains(file.error_of_row("masked_lm_positions", {0, 1}), {"masked_lm_positions[1] = 1 behind the 0"});
}

// Packed rows are taken apart, so their counts have to agree.
TEST(Foreign, NamesWhatIsWrongInPackedRows) {
  const TemporaryFolder folder;
  using Lists = std::map<std::string, std::vector<int32_t>>;
  const Lists good = {{"input_ids", {5, 6, 7, 8, 9}},  {"segment_ids", {0, 1, 0, 1, 1}}, {"masked_lm_positions", {1, 4}},
                      {"masked_lm_ids", {11, 12}},     {"next_sentence_labels", {1, 0}}, {"packed_input_len", {2, 3}},
                      {"packed_masked_lm_len", {1, 1}}};
  const auto write = [&](const Lists& lists) {
    hdf5::File file = hdf5::File::create(folder / "a.hdf5");
    for (const auto& [name, list] : lists)
      file.write_ragged_table(name, hdf5::Type::kInt16, 1, [&values = list](int64_t) { return std::span<const int32_t>(values); });
    file.close();
  };
  write(good);
  const std::vector<Sample> samples = read_foreign(folder / "a.hdf5");
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[1].input_ids, (std::vector<int32_t>{7, 8, 9}));
  EXPECT_EQ(samples[1].label("masked_lm_positions"), std::vector<int32_t>{2}) << "from the start of the sequence";
  const auto error = [&](const std::string& name, const std::vector<int32_t>& list) {
    Lists lists = good;
    lists[name] = list;
    write(lists);
    return error_of(ErrorKind::kCorrupt, [&] { read_foreign(folder / "a.hdf5"); });
  };
  expect_contains(error("packed_input_len", {2, 4}), {"row 0", "packed_input_len says 4 where 3 are left"});
  expect_contains(error("packed_input_len", {2, -3}), {"packed_input_len says -3"});
  expect_contains(error("packed_input_len", {2, 2}), {"row 0"});
  expect_contains(error("packed_input_len", {5}), {"1 packed_input_len, 2 packed_masked_lm_len and 2 next_sentence_labels"});
  expect_contains(error("packed_masked_lm_len", {0, 2}), {"row 0, sequence 1: masked_lm_positions[0] = -1"});
}

}  // namespace mpibert
