#include "train/checkpoint_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "mpibert/base/error.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"
#include "tests/unit/train/checkpoint_sample.h"
#include "train/checkpoint_files.h"

namespace mpibert {

namespace fs = std::filesystem;
using test::expect_error;
using test::sample_snapshot;
using test::TemporaryFolder;
using testing::ElementsAre;

namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> steps_of(const fs::path& run) {
  std::vector<std::string> names;
  for (const StepFolder& folder : step_folders(run)) names.push_back(folder.path.filename().string());
  return names;
}

// Runs `action` in a process of its own; its exit status.
template <class Action>
int in_child(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      action();
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(error.kind() == ErrorKind::kIo ? 74 : 1);
    } catch (...) {
      ::_exit(1);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// One save with everything around it, as the writer does it.
void save(const fs::path& run, const Snapshot& snapshot, int64_t limit, StoreHook hook, bool can_exchange) {
  CheckpointStore store(run, std::move(hook), can_exchange);
  store.recover();
  store.housekeep(store.publish(snapshot).path, limit);
}

Snapshot changed(int64_t step) {
  Snapshot snapshot = sample_snapshot(step);
  snapshot.weights[0] = 12345;
  return snapshot;
}

// Ends the process before the k-th change of the disk, for every k, while `saved` is written beside steps 10 and 20. Whatever k is, a good
// checkpoint is found, it is the last old one or the new one, and the next start leaves no litter.
void visit_every_crash_point(const Snapshot& saved, int64_t limit, bool can_exchange) {
  const std::string new_digest = [&] {
    TemporaryFolder run;
    return read_checkpoint_manifest(CheckpointStore(run.path()).publish(saved).path).digest;
  }();
  int crashes = 0;
  for (int k = 0;; ++k) {
    TemporaryFolder run;
    save(run.path(), sample_snapshot(10), 0, {}, true);
    save(run.path(), sample_snapshot(20), 0, {}, true);
    const std::string old_digest = checkpoint_digest(run.path());
    int operation = 0;
    const int status = in_child([&] {
      save(
          run.path(), saved, limit,
          [&](std::string_view) {
            if (operation++ == k) ::_exit(9);
          },
          can_exchange);
    });
    CheckpointStore(run.path()).recover();
    const std::string found = read_checkpoint_manifest(*newest_checkpoint(run.path(), Verify::kTensors)).digest;
    EXPECT_TRUE(found == old_digest || found == new_digest) << "crash point " << k;
    for (const std::string& name : names_in(checkpoints_folder(run.path())))
      EXPECT_FALSE(name.starts_with(".")) << name << " after crash point " << k;
    if (status == 0) {
      EXPECT_EQ(found, new_digest);
      break;
    }
    ASSERT_EQ(status, 9);
    ++crashes;
  }
  EXPECT_GT(crashes, 25);
}

}  // namespace

TEST(CheckpointStore, SurvivesACrashAtEveryPointOfASave) { visit_every_crash_point(sample_snapshot(30), 1, true); }
TEST(CheckpointStore, SurvivesACrashAtEveryPointOfSavingAStepAgain) { visit_every_crash_point(changed(20), 0, true); }
TEST(CheckpointStore, SurvivesItOnFileSystemsThatCannotExchange) { visit_every_crash_point(changed(20), 0, false); }

// The same points, but the system refuses instead: what was there stays, nothing else does, and the next save works.
TEST(CheckpointStore, LeavesNothingBehindWhenTheDiskRefuses) {
  for (const bool can_exchange : {true, false}) {
    for (int k = 0;; ++k) {
      TemporaryFolder run;
      CheckpointStore(run.path()).publish(sample_snapshot(10));
      int operation = 0;
      bool failed = false;
      try {
        CheckpointStore(
            run.path(),
            [&](std::string_view) {
              if (operation++ == k) throw Error(ErrorKind::kIo, "no space left on device");
            },
            can_exchange)
            .publish(sample_snapshot(20));
      } catch (const Error&) {
        failed = true;
      }
      EXPECT_NO_THROW(verify_checkpoint(checkpoints_folder(run.path()) / "step-00000010"));
      for (const std::string& name : names_in(checkpoints_folder(run.path())))
        EXPECT_FALSE(name.starts_with(".tmp")) << name << " at " << k;
      EXPECT_NO_THROW(CheckpointStore(run.path()).publish(sample_snapshot(20)));
      EXPECT_EQ(newest_checkpoint(run.path(), Verify::kTensors)->filename(), "step-00000020");
      if (!failed) break;
    }
  }
}

// A limit of the system on the size of files stands for a full disk: write() fails in the middle of model.safetensors.
TEST(CheckpointStore, ReportsARealFailureToWrite) {
  TemporaryFolder run;
  CheckpointStore(run.path()).publish(sample_snapshot(10));
  Snapshot large = sample_snapshot(20);
  large.parameters = {{"a", {100'000}, 0}};
  large.weights.resize(100'000);
  large.optimizer.clear();
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{65536, 65536};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    CheckpointStore(run.path()).publish(large);
  });
  EXPECT_EQ(status, 74);
  EXPECT_THAT(names_in(checkpoints_folder(run.path())), ElementsAre("step-00000010"));
}

TEST(CheckpointStore, RemovesWhatADeadRunLeft) {
  TemporaryFolder run;
  CheckpointStore store(run.path());
  store.publish(sample_snapshot(10));
  const fs::path folder = checkpoints_folder(run.path());
  fs::create_directories(folder / ".tmp-step-00000020-abc");
  test::write_text(folder / ".tmp-step-00000020-abc" / "model.safetensors", "half");
  fs::create_directories(folder / ".trash-step-00000001-abc");
  fs::create_directories(folder / ".old-step-00000010-abc");
  test::write_text(folder / "LATEST.tmp", "x");
  fs::create_directories(folder / "mine");
  EXPECT_EQ(newest_checkpoint(run.path())->filename(), "step-00000010") << "unfinished ones are not looked at";
  store.recover();
  EXPECT_THAT(names_in(folder), ElementsAre("mine", "step-00000010"));
}

TEST(CheckpointStore, KeepsAPublishedCheckpointThatSaysTheSame) {
  TemporaryFolder run;
  CheckpointStore store(run.path());
  const fs::path path = store.publish(sample_snapshot(10)).path;
  const auto time = fs::last_write_time(path / "model.safetensors");
  Snapshot other_size = sample_snapshot(10);
  other_size.world_size = 4;
  EXPECT_TRUE(store.publish(other_size).kept);
  EXPECT_EQ(fs::last_write_time(path / "model.safetensors"), time);
  EXPECT_FALSE(store.publish(changed(10)).kept);
  EXPECT_EQ(load_checkpoint(path, sample_snapshot(10).parameters, {}).weights[0], 12345);
  EXPECT_THAT(names_in(checkpoints_folder(run.path())), ElementsAre("step-00000010"));
}

TEST(CheckpointStore, ReplacesADamagedCheckpointOfTheSameStep) {
  TemporaryFolder run;
  CheckpointStore store(run.path());
  const fs::path path = store.publish(sample_snapshot(10)).path;
  test::flip_byte(path / "model.safetensors", 260);
  EXPECT_FALSE(store.publish(sample_snapshot(10)).kept);
  EXPECT_NO_THROW(verify_checkpoint(path, Verify::kTensors));
}

class Retention : public testing::Test {
 protected:
  void save(int64_t step, std::optional<double> score = {}, int64_t limit = 2) {
    Snapshot snapshot = sample_snapshot(step);
    snapshot.score = score;
    CheckpointStore store(run_.path());
    store.housekeep(store.publish(snapshot).path, limit);
  }
  std::string hint(const char* name) { return test::read_text(checkpoints_folder(run_.path()) / name); }
  TemporaryFolder run_;
};

TEST_F(Retention, KeepsTheNewest) {
  for (const int64_t step : {10, 20, 30, 40}) save(step);
  EXPECT_THAT(steps_of(run_.path()), ElementsAre("step-00000030", "step-00000040"));
  EXPECT_EQ(hint("LATEST"), "step-00000040\n");
  EXPECT_FALSE(fs::exists(checkpoints_folder(run_.path()) / "BEST"));
}

TEST_F(Retention, KeepsTheBestAndThePinned) {
  save(10, 0.1);
  test::write_text(checkpoints_folder(run_.path()) / "PINNED", "step-00000010 \n");
  save(20, 0.9);
  save(30, 0.9);
  save(40, 0.3);
  save(50, 0.2);
  EXPECT_THAT(steps_of(run_.path()), ElementsAre("step-00000010", "step-00000020", "step-00000040", "step-00000050"));
  EXPECT_EQ(hint("BEST"), "step-00000020\n") << "of equals the first";
}

TEST_F(Retention, NeverCountsOrDeletesABrokenOneNorTheOneJustWritten) {
  save(10);
  save(100);
  fs::remove(checkpoints_folder(run_.path()) / "step-00000100" / kManifest);
  save(20, {}, 1);
  EXPECT_THAT(steps_of(run_.path()), ElementsAre("step-00000020", "step-00000100"));
  EXPECT_EQ(newest_checkpoint(run_.path())->filename(), "step-00000020");
}

TEST(CheckSnapshot, RefusesPartsThatDoNotFit) {
  const auto refuse = [](const std::string& text, auto change) {
    Snapshot snapshot = sample_snapshot(1);
    change(snapshot);
    expect_error(ErrorKind::kInvalidArgument, {text}, [&] { check_snapshot(snapshot); });
  };
  EXPECT_NO_THROW(check_snapshot(sample_snapshot(1)));
  refuse("step -1", [](Snapshot& s) { s.state.step = -1; });
  refuse("without parameters", [](Snapshot& s) { s.parameters.clear(); });
  refuse("ends at element 133, but weights has 132", [](Snapshot& s) { s.weights.resize(132); });
  refuse("but exp_avg has 3", [](Snapshot& s) { s.optimizer["exp_avg"].resize(3); });
  refuse("two parameters", [](Snapshot& s) { s.parameters[1].name = s.parameters[0].name; });
  refuse("../x", [](Snapshot& s) { s.files["../x"] = ""; });
  refuse("state.json", [](Snapshot& s) { s.files["state.json"] = ""; });
  refuse("finite", [](Snapshot& s) { s.score = 0.0 / 0.0; });
}

}  // namespace mpibert
