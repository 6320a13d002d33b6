#include "mpibert/train/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mpibert/base/error.h"
#include "mpibert/train/run_lock.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"
#include "tests/unit/train/checkpoint_sample.h"

namespace mpibert {

namespace fs = std::filesystem;
using test::expect_error;
using test::sample_snapshot;
using test::TemporaryFolder;
using testing::HasSubstr;

class Writer : public testing::TestWithParam<bool> {
 protected:
  CheckpointWriterOptions options(int64_t max_failures = 3) { return {.max_failures = max_failures, .in_background = GetParam()}; }
  // Makes every save fail: there is a file where the directory of checkpoints was.
  void break_disk() {
    fs::remove_all(run_ / "checkpoints");
    test::write_text(run_ / "checkpoints", "");
  }
  void mend_disk() {
    fs::remove(run_ / "checkpoints");
    fs::create_directory(run_ / "checkpoints");
  }
  TemporaryFolder run_;
};

TEST_P(Writer, SavesAndReports) {
  CheckpointWriter writer(run_.path(), options());
  writer.save(sample_snapshot(10));
  writer.save(sample_snapshot(20));
  writer.wait();
  const std::vector<CheckpointEvent> events = writer.poll();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_TRUE(events[0].saved && events[1].saved);
  EXPECT_THAT(events[1].message, HasSubstr("checkpoint step-00000020 saved"));
  EXPECT_TRUE(writer.poll().empty());
  EXPECT_EQ(newest_checkpoint(run_.path(), Verify::kTensors)->filename(), "step-00000020");
  EXPECT_EQ(writer.recycle().weights.size(), 256u);
  EXPECT_TRUE(writer.recycle().weights.empty());
}

TEST_P(Writer, WritesWhatIsPendingBeforeItEnds) {
  { CheckpointWriter(run_.path(), options()).save(sample_snapshot(10)); }
  EXPECT_EQ(newest_checkpoint(run_.path(), Verify::kTensors)->filename(), "step-00000010");
}

TEST_P(Writer, GoesOnAfterAFailureAndRecovers) {
  CheckpointWriter writer(run_.path(), options());
  break_disk();
  writer.save(sample_snapshot(10));
  expect_error(ErrorKind::kIo, {"step-00000010 could not be saved"}, [&] { writer.wait(); });
  std::vector<CheckpointEvent> events = writer.poll();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_FALSE(events[0].saved);
  EXPECT_THAT(events[0].message, HasSubstr("training goes on"));
  mend_disk();
  writer.save(sample_snapshot(20));
  EXPECT_NO_THROW(writer.wait());
  EXPECT_TRUE(writer.poll().at(0).saved);
}

TEST_P(Writer, GivesUpAfterFailuresInARow) {
  CheckpointWriter writer(run_.path(), options(2));
  break_disk();
  writer.save(sample_snapshot(10));
  writer.save(sample_snapshot(20));
  expect_error(ErrorKind::kIo, {"could not be saved"}, [&] { writer.wait(); });
  expect_error(ErrorKind::kIo, {"2 checkpoints in a row", "step-00000020"}, [&] { writer.poll(); });
  expect_error(ErrorKind::kIo, {"2 checkpoints in a row"}, [&] { writer.save(sample_snapshot(30)); });
}

TEST_P(Writer, RefusesASnapshotThatDoesNotFitAtOnce) {
  CheckpointWriter writer(run_.path(), options());
  expect_error(ErrorKind::kInvalidArgument, {"without parameters"}, [&] { writer.save({}); });
  EXPECT_NO_THROW(writer.wait());
}

TEST_P(Writer, StartsByRemovingWhatADeadRunLeft) {
  fs::create_directories(run_.path() / "checkpoints" / ".tmp-step-00000010-abc");
  CheckpointWriter writer(run_.path(), options());
  EXPECT_TRUE(fs::is_empty(run_ / "checkpoints"));
}

INSTANTIATE_TEST_SUITE_P(InBackgroundOrNot, Writer, testing::Bool());

TEST(RunLock, IsHeldByOne) {
  TemporaryFolder run;
  {
    RunLock lock(run.path(), "17");
    expect_error(ErrorKind::kBusy, {run.path().string(), "process " + std::to_string(::getpid()), "job 17", "since 2"},
                 [&] { RunLock second(run.path()); });
    RunLock moved = std::move(lock);
    EXPECT_THROW(RunLock(run.path()), Error) << "moving keeps it";
  }
  EXPECT_EQ(test::read_text(run / "LOCK"), "") << "given back in order";
  EXPECT_NO_THROW(RunLock(run.path()));
}

TEST(RunLock, OfADeadProcessIsTakenOver) {
  TemporaryFolder run;
  const pid_t child = ::fork();
  if (child == 0) {
    RunLock lock(run.path());
    ::_exit(9);  // without giving it back
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_THAT(test::read_text(run / "LOCK"), HasSubstr("\"pid\":" + std::to_string(child)));
  RunLock lock(run.path());
  EXPECT_THAT(test::read_text(run / "LOCK"), HasSubstr("\"pid\":" + std::to_string(::getpid())));
}

TEST(RunLock, NamesARunThatCannotBeMade) {
  TemporaryFolder folder;
  test::write_text(folder / "file", "");
  expect_error(ErrorKind::kBusy, {"file/run"}, [&] { RunLock lock(folder.path() / "file" / "run"); });
}

}  // namespace mpibert
