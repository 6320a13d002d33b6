#include "mpibert/base/file.h"

#include <gtest/gtest.h>

#include "mpibert/base/error.h"
#include "mpibert/base/sha256.h"
#include "tests/support/files.h"

namespace mpibert {

using test::TemporaryFolder;

TEST(File, AppearsOnlyAtCommit) {
  TemporaryFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_file_atomically(folder / "a", "whole");
  EXPECT_EQ(read_file(folder / "a"), "whole");
}

TEST(File, ErrorsNameThePathAndTheKind) {
  TemporaryFolder folder;
  try {
    read_file(folder / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_NE(std::string(error.what()).find("absent"), std::string::npos);
  }
  EXPECT_THROW(read_file(folder.path()), Error);
  test::write_text(folder / "large", "12345");
  EXPECT_THROW(read_file(folder / "large", 4), Error);
}

// FIPS 180-4 example "abc".
TEST(Sha256, GivesTheKnownAnswer) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  TemporaryFolder folder;
  test::write_text(folder / "abc", "abc");
  EXPECT_EQ(sha256_hex_of_file(folder / "abc"), sha256_hex("abc"));
}

}  // namespace mpibert
