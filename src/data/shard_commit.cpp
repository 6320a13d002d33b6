#include "data/shard_commit.h"

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/sha256.h"

namespace mpibert {

void commit_shard(const std::filesystem::path& path, const std::function<void(const std::filesystem::path&)>& write, ShardEntry& entry) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  try {
    write(temporary);
    sync_path(temporary);
    entry.file = path.filename().string();
    entry.bytes = static_cast<int64_t>(std::filesystem::file_size(temporary));
    entry.sha256 = sha256_hex_of_file(temporary);
    std::filesystem::rename(temporary, path);
    sync_path(path.has_parent_path() ? path.parent_path() : ".");
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorKind::kIo, str_cat("cannot finish shard ", path.string(), ": ", error.code().message()));
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
}

}  // namespace mpibert
