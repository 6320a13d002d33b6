#include "tasks/dataset_files.h"

#include <array>
#include <cstdio>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert {

std::string part_number(int64_t unit, int64_t part) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "-%05lld-%03lld", static_cast<long long>(unit), static_cast<long long>(part));
  return text.data();
}

std::string shard_name(const std::string& split, int64_t unit, int64_t part) { return split + part_number(unit, part) + ".h5"; }

void write_vocabulary(const std::filesystem::path& folder, const BertTokenizer& tokenizer) {
  std::string text;
  for (const std::string& token : tokenizer.vocabulary().tokens()) text += token + "\n";
  write_file_atomically(folder / "vocab.txt", text);
  write_file_atomically(folder / "tokenizer_config.json", tokenizer.config_json());
}

void change_folder(const std::filesystem::path& folder, const std::function<void()>& f) {
  try {
    f();
  } catch (const std::filesystem::filesystem_error& error) {
    const bool refused = error.code() == std::errc::permission_denied || error.code() == std::errc::read_only_file_system;
    throw Error(refused ? ErrorKind::kPermission : ErrorKind::kIo,
                str_cat("cannot make the output folder ", folder.string(), ": ", error.code().message()));
  }
}

nlohmann::json to_json(const ShardEntry& shard) {
  return {shard.file, shard.count, shard.tokens, shard.longest, shard.bytes, shard.sha256};
}

ShardEntry shard_entry_from_json(const nlohmann::json& json) {
  return {.file = json.at(0), .count = json.at(1), .tokens = json.at(2), .longest = json.at(3), .bytes = json.at(4), .sha256 = json.at(5)};
}

}  // namespace mpibert
