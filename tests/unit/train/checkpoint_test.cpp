#include "mpibert/train/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "mpibert/interop/safetensors.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"
#include "tests/unit/train/checkpoint_sample.h"
#include "train/checkpoint_files.h"
#include "train/checkpoint_store.h"

namespace mpibert {

namespace fs = std::filesystem;
using test::expect_error;
using test::sample_snapshot;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Checkpoint : public testing::Test {
 protected:
  fs::path save(int64_t step) { return save(sample_snapshot(step)); }
  fs::path save(const Snapshot& snapshot) { return CheckpointStore(run_.path()).publish(snapshot).path; }
  std::optional<std::string> newest(Verify level = Verify::kSha256) {
    rejected_.clear();
    const auto found = newest_checkpoint(run_.path(), level, true, &rejected_);
    return found ? std::optional(found->filename().string()) : std::nullopt;
  }
  TemporaryFolder run_;
  std::vector<std::string> rejected_;
};

TEST(TrainingState, ADamagedLossScaleIsNamed) {
  const std::string good = TrainingState{.loss_scale = 4096}.json();
  EXPECT_EQ(TrainingState::from_json(good, "state.json").loss_scale, 4096);
  for (const auto& [damage, words] : std::map<std::string, std::string>{{"0", "is 0, expected a finite number above 0"},
                                                                        {"-2", "is -2, expected"},
                                                                        {"null", "is nan, expected"},
                                                                        {"\"x\"", "is not a number"}}) {
    std::string bad = good;
    bad.replace(bad.find("4096.0"), 6, damage);
    expect_error(ErrorKind::kCorrupt, {"state.json: \"loss_scale.value\" " + words}, [&] { TrainingState::from_json(bad, "state.json"); });
  }
  std::string negative = good;
  negative.replace(negative.find("\"good_steps\": 0") + 14, 1, "-1");
  expect_error(ErrorKind::kCorrupt, {"state.json", "good_steps"}, [&] { TrainingState::from_json(negative, "state.json"); });
}

TEST_F(Checkpoint, ReturnsEveryBit) {
  Snapshot saved = sample_snapshot(50);
  saved.weights[1] = -0.0f;
  saved.weights[2] = std::nanf("5");
  saved.optimizer["exp_avg"][130] = INFINITY;
  saved.state.metrics = {{"loss", 0.1}, {"broken", NAN}};
  saved.state.options = {{"learning_rate", "1e-4"}};
  saved.state.extra = {{"note", "\xc3\xbc"}};
  saved.state.dataset_fingerprint = "abc";
  saved.state.loss_scale = 0x1.8p-3;
  saved.state.loss_scale_good_steps = 1999;
  saved.score = 0.25;
  saved.world_size = 3;
  const Snapshot loaded = load_checkpoint(save(saved), saved.parameters, {"exp_avg", "exp_avg_sq"});
  for (const Slice& slice : saved.parameters) {
    const auto same = [&](const std::vector<float>& a, const std::vector<float>& b) {
      return std::memcmp(a.data() + slice.offset, b.data() + slice.offset, sizeof(float) * static_cast<size_t>(slice.shape.size())) == 0;
    };
    EXPECT_TRUE(same(saved.weights, loaded.weights)) << slice.name;
    for (const auto& [buffer, flat] : saved.optimizer) EXPECT_TRUE(same(flat, loaded.optimizer.at(buffer))) << buffer << slice.name;
  }
  EXPECT_EQ(loaded.weights.size(), 133u);
  EXPECT_EQ(loaded.weights[6], 0.0f) << "between slices there are zeros";
  EXPECT_EQ(loaded.files, saved.files);
  EXPECT_EQ(loaded.score, 0.25);
  EXPECT_EQ(loaded.world_size, 3);
  EXPECT_EQ(loaded.state.step, 50);
  EXPECT_EQ(loaded.state.seed, ~uint64_t{0});
  EXPECT_EQ(loaded.state.metrics.at("loss"), 0.1);
  EXPECT_TRUE(std::isnan(loaded.state.metrics.at("broken")));
  EXPECT_EQ(loaded.state.json(), saved.state.json());
}

TEST_F(Checkpoint, VerifiesAndIsFoundByStep) {
  EXPECT_EQ(newest(), std::nullopt);
  save(100);
  save(9);
  EXPECT_EQ(newest(Verify::kTensors), "step-00000100");
  EXPECT_THAT(rejected_, IsEmpty());
  EXPECT_EQ(resolve_model_path(run_.path()), checkpoints_folder(run_.path()) / "step-00000100");
  EXPECT_EQ(resolve_model_path(checkpoints_folder(run_.path()) / "step-00000009").filename(), "step-00000009");
}

TEST_F(Checkpoint, FallsBackToAnOlderOneAndSaysWhy) {
  save(10);
  const fs::path newer = save(20);
  test::flip_byte(newer / "model.safetensors", fs::file_size(newer / "model.safetensors") - 1);
  EXPECT_EQ(newest(), "step-00000010");
  ASSERT_EQ(rejected_.size(), 1u);
  EXPECT_THAT(rejected_[0], HasSubstr("step-00000020"));
  EXPECT_THAT(rejected_[0], HasSubstr("model.safetensors: SHA-256 is"));
  EXPECT_EQ(newest(Verify::kSize), "step-00000020") << "sizes alone do not show a flipped bit";
  expect_error(ErrorKind::kCorrupt, {"step-00000020"}, [&] { newest_checkpoint(run_.path(), Verify::kSha256, false); });
}

TEST_F(Checkpoint, IsAnErrorWhenNoneIsGood) {
  fs::remove(save(10) / "config.json");
  expect_error(ErrorKind::kCorrupt, {"none of the 1 checkpoints"}, [&] { newest(); });
}

TEST_F(Checkpoint, NoticesEveryDamagedByteAndFile) {
  save(10);
  const fs::path newer = save(20);
  TemporaryFolder copy;
  fs::copy(newer, copy / "good");
  const auto restore = [&] {
    fs::remove_all(newer);
    fs::copy(copy / "good", newer);
  };
  std::minstd_rand random(11);
  int visited = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(copy / "good")) {
    const fs::path victim = newer / file.path().filename();
    const size_t size = file.file_size();
    for (int i = 0; i < 60; ++i, ++visited) {
      const size_t at = random() % size;
      if (i % 3 == 0) test::truncate_to(victim, at);
      if (i % 3 == 1) test::flip_byte(victim, at);
      if (i % 3 == 2) test::write_text(victim, test::read_text(victim) + std::string(1 + at, ' '));
      const bool manifest = victim.filename() == kManifest;
      // Of the manifest itself some changes are no damage: to the time, the program's name, the white space, or a number not compared here.
      if (!manifest) {
        EXPECT_EQ(newest(), "step-00000010") << victim << " change " << i % 3 << " at " << at;
      } else {
        EXPECT_NO_THROW(newest());
      }
      restore();
    }
    fs::remove(victim);
    EXPECT_EQ(newest(), "step-00000010") << victim << " removed";
    restore();
  }
  EXPECT_GE(visited, 360);
  fs::rename(newer / "config.json", newer / "x");
  fs::rename(newer / "vocab.txt", newer / "config.json");
  EXPECT_EQ(newest(), "step-00000010") << "files swapped";
}

TEST_F(Checkpoint, RefusesAManifestThatPointsElsewhere) {
  const fs::path checkpoint = save(10);
  const std::string good = test::read_text(checkpoint / kManifest);
  for (const char* name : {"../config.json", "/etc/passwd", "..", ".", "", "a/b", "a\\nb", "MANIFEST.json", "vocab.txt"}) {
    std::string text = good;
    text.replace(text.find("config.json"), 11, name);
    test::write_text(checkpoint / kManifest, text);
    expect_error(ErrorKind::kCorrupt, {"MANIFEST.json"}, [&] { verify_checkpoint(checkpoint); });
  }
  test::write_text(checkpoint / kManifest, std::string(1'000'000, '['));
  expect_error(ErrorKind::kCorrupt, {"nested"}, [&] { verify_checkpoint(checkpoint); });
}

TEST_F(Checkpoint, OfAnotherStepUnderThisNameIsRefused) {
  fs::rename(save(10), checkpoints_folder(run_.path()) / "step-00000011");
  save(5);
  EXPECT_EQ(newest(), "step-00000005");
  EXPECT_THAT(rejected_.at(0), HasSubstr("of step 10"));
}

TEST_F(Checkpoint, RefusesAnotherModelOrOptimizer) {
  const fs::path checkpoint = save(10);
  std::vector<Slice> slices = sample_snapshot(0).parameters;
  slices[0].shape = {2, 3};
  slices[1].name = "other";
  expect_error(ErrorKind::kInvalidArgument, {"[3, 2], expected [2, 3]", "missing other"}, [&] { load_checkpoint(checkpoint, slices, {}); });
  slices = sample_snapshot(0).parameters;
  expect_error(ErrorKind::kInvalidArgument, {"missing momentum.bert"}, [&] { load_checkpoint(checkpoint, slices, {"momentum"}); });
  expect_error(ErrorKind::kInvalidArgument, {"unknown exp_avg_sq.bert"}, [&] { load_checkpoint(checkpoint, slices, {"exp_avg"}); });
  slices.pop_back();
  expect_error(ErrorKind::kInvalidArgument, {"unknown bert.embeddings.LayerNorm.weight"}, [&] { load_checkpoint(checkpoint, slices, {}); });
  expect_error(ErrorKind::kNotFound, {"not a checkpoint"}, [&] { load_checkpoint(run_.path(), slices, {}); });
}

TEST_F(Checkpoint, DigestIsOfTensorsOnly) {
  Snapshot snapshot = sample_snapshot(10);
  const fs::path first = save(snapshot);
  const std::string digest = checkpoint_digest(first);
  EXPECT_EQ(digest, read_checkpoint_manifest(first).digest);
  snapshot.state.step = 11;
  snapshot.world_size = 4;
  std::swap(snapshot.parameters[0], snapshot.parameters[1]);
  EXPECT_EQ(checkpoint_digest(save(snapshot)), digest);
  EXPECT_EQ(checkpoint_digest(run_.path()), digest);
  snapshot.state.step = 12;
  snapshot.optimizer["exp_avg"][0] = -snapshot.optimizer["exp_avg"][0];
  EXPECT_NE(checkpoint_digest(save(snapshot)), digest);
}

// Another program's way of writing the same weights: bare names, a buffer, a tied copy.
TEST_F(Checkpoint, DigestDoesNotDependOnTheWriter) {
  Snapshot snapshot = sample_snapshot(10);
  snapshot.optimizer.clear();
  const fs::path ours = save(snapshot);
  TemporaryFolder theirs;
  const auto values = std::as_bytes(std::span(snapshot.weights));
  const std::vector<int64_t> ids = {0};
  write_safetensors(theirs / "model.safetensors", {{"embeddings.word_embeddings.weight", DType::kFloat32, {3, 2}, values.subspan(0, 24)},
                                                   {"cls.predictions.decoder.weight", DType::kFloat32, {3, 2}, values.subspan(0, 24)},
                                                   {"embeddings.LayerNorm.gamma", DType::kFloat32, {5}, values.subspan(512, 20)},
                                                   {"embeddings.position_ids", DType::kInt64, {1}, std::as_bytes(std::span(ids))}});
  EXPECT_EQ(checkpoint_digest(theirs.path()), checkpoint_digest(ours));
  EXPECT_THAT(diff_checkpoints(theirs.path(), ours), IsEmpty());
}

TEST_F(Checkpoint, DiffNamesWhatDiffers) {
  Snapshot snapshot = sample_snapshot(10);
  const fs::path first = save(snapshot);
  snapshot.state.step = 11;
  snapshot.weights[1] += 2;
  snapshot.weights[2] -= 0.5f;
  snapshot.optimizer["exp_avg"][128] = NAN;
  snapshot.optimizer["momentum"] = snapshot.weights;
  snapshot.optimizer.erase("exp_avg_sq");
  const std::vector<TensorDifference> differences = diff_checkpoints(first, save(snapshot));
  ASSERT_EQ(differences.size(), 6u);
  EXPECT_EQ(differences[0].name, "bert.embeddings.word_embeddings.weight");
  EXPECT_EQ(differences[0].what, "values");
  EXPECT_EQ(differences[0].different, 2);
  EXPECT_EQ(differences[0].elements, 6);
  EXPECT_NEAR(differences[0].max_abs, 2, 1e-5);
  EXPECT_EQ(differences[1].name, "exp_avg.bert.embeddings.LayerNorm.weight");
  EXPECT_TRUE(std::isnan(differences[1].max_abs));
  EXPECT_EQ(differences[2].what, "only in the first");
  EXPECT_EQ(differences[5].what, "only in the second");
}

TEST_F(Checkpoint, ListShowsGoodAndBad) {
  Snapshot scored = sample_snapshot(10);
  scored.score = 0.5;
  CheckpointStore store(run_.path());
  store.housekeep(store.publish(scored).path, 0);
  test::truncate_to(save(20) / "model.safetensors", 9);
  fs::create_directory(checkpoints_folder(run_.path()) / "step-7");
  const std::vector<CheckpointInfo> list = list_checkpoints(run_.path());
  ASSERT_EQ(list.size(), 2u);
  EXPECT_TRUE(list[0].latest && list[0].best && list[0].problem.empty());
  EXPECT_EQ(list[0].score, 0.5);
  EXPECT_GT(list[0].bytes, 200);
  EXPECT_THAT(list[1].problem, HasSubstr("9 bytes, expected"));
}

TEST(ResolveModelPath, SaysWhatIsMissing) {
  TemporaryFolder folder;
  expect_error(ErrorKind::kNotFound, {"bert-base-uncased", "nothing is downloaded"}, [] { resolve_model_path("bert-base-uncased"); });
  expect_error(ErrorKind::kNotFound, {"neither a run"}, [&] { resolve_model_path(folder.path()); });
  fs::create_directory(folder / "checkpoints");
  expect_error(ErrorKind::kNotFound, {"no checkpoint yet"}, [&] { resolve_model_path(folder.path()); });
}

}  // namespace mpibert
