#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/base/sha256.h"
#include "mpibert/data/token_shard.h"
#include "mpibert/tasks/prepare.h"
#include "tasks/together.h"

namespace mpibert {

namespace {

constexpr int64_t kRowsAtATime = 4096, kTokensAtATime = int64_t{1} << 20;

void read_samples(const std::filesystem::path& path) {
  const ShardReader shard(path);
  for (int64_t row = 0; row < shard.size(); row += kRowsAtATime) shard.read(row, std::min(row + kRowsAtATime, shard.size()));
}

void read_documents(const std::filesystem::path& path) {
  const TokenShard shard(path);
  shard.document_offsets({0, shard.documents()});
  shard.sentence_offsets({0, shard.sentences()});
  std::vector<int32_t> ids;
  for (int64_t token = 0; token < shard.tokens(); token += kTokensAtATime) {
    ids.clear();
    shard.append_ids({token, std::min(token + kTokensAtATime, shard.tokens())}, ids);
  }
}

}  // namespace

Manifest check_dataset(const std::filesystem::path& folder, Exchange& exchange) {
  Manifest manifest;
  together(exchange, [&] {
    manifest = read_manifest(folder);
    int number = 0;
    for (const SplitEntry& split : manifest.splits) {
      for (const ShardEntry& shard : split.shards) {
        if (number++ % exchange.size() != exchange.rank()) continue;
        const std::filesystem::path path = folder / shard.file;
        const std::string found = sha256_hex_of_file(path);
        MPIBERT_CHECK(found == shard.sha256, kCorrupt, "shard ", path.string(), " has SHA-256 ", found, ", the manifest says ",
                      shard.sha256, "; copy it again or prepare the data again");
        if (manifest.storage == Storage::kTokens) read_documents(path);
        else read_samples(path);
      }
    }
  });
  return manifest;
}

}  // namespace mpibert
