#pragma once

#include <filesystem>
#include <functional>

#include "mpibert/data/shard.h"

namespace mpibert {

// Lets `write` make path.tmp, syncs it, fills in file, bytes and sha256 of the entry, renames. After an error nothing is left.
void commit_shard(const std::filesystem::path& path, const std::function<void(const std::filesystem::path&)>& write, ShardEntry& entry);

}  // namespace mpibert
