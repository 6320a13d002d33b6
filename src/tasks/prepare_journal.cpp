#include "tasks/prepare_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <regex>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/base/parse_number.h"
#include "tasks/dataset_files.h"

namespace mpibert {

namespace fs = std::filesystem;
namespace {

bool is_there(const fs::path& folder, const ShardEntry& shard) {
  std::error_code code;
  const uintmax_t bytes = fs::file_size(folder / shard.file, code);
  return !code && static_cast<int64_t>(bytes) == shard.bytes;
}

}  // namespace

std::string MadeUnit::json() const {
  nlohmann::json all = nlohmann::json::array();
  for (const ShardEntry& shard : shards) all.push_back(to_json(shard));
  return nlohmann::json({{"shards", std::move(all)}, {"summary", mpibert::to_json(summary)}}).dump();
}

MadeUnit MadeUnit::from_json(const std::string& text, const std::string& where) {
  MadeUnit made;
  try {
    const nlohmann::json root = nlohmann::json::parse(text);
    for (const nlohmann::json& shard : root.at("shards")) made.shards.push_back(shard_entry_from_json(shard));
    made.summary = corpus_summary_from_json(root.at("summary").get<std::string>(), where);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(where, ": ", error.what()));
  }
  return made;
}

fs::path PrepareJournal::unit_file(int64_t unit) const {
  std::array<char, 24> name{};
  std::snprintf(name.data(), name.size(), "%06lld", static_cast<long long>(unit));
  return units() / name.data();
}

bool PrepareJournal::is_same() const { return fs::exists(output_ / "prepare.json") && read_file(output_ / "prepare.json") == identity_; }

bool PrepareJournal::begin(bool overwrite) {
  const fs::path manifest = output_ / "manifest.json";
  const bool finished = fs::exists(manifest);
  if (finished && !overwrite) {
    MPIBERT_CHECK(is_same(), kBusy, output_.string(),
                  " holds another data set already; choose another folder or allow to overwrite it (--overwrite)");
    finish();
    return true;
  }
  change_folder(output_, [&] {
    fs::create_directories(output_);
    if (finished || !is_same()) {
      if (fs::exists(units())) log_info(output_.string(), ": an unfinished preparation of other input or with other options is removed");
      fs::remove(manifest);
      remove_leftovers();
      write_file_atomically(output_ / "prepare.json", identity_);
    }
    fs::create_directories(units());
    remove_shards(".h5.tmp");
    for (const fs::directory_entry& entry : fs::directory_iterator(units()))
      if (entry.path().extension() != "") fs::remove(entry.path());  // claims of ranks that are gone, and files that were not finished
  });
  return false;
}

void PrepareJournal::remove_leftovers() const {
  fs::remove(output_ / "prepare.json");  // first: what is left afterwards belongs to nothing
  fs::remove_all(units());
  fs::remove_all(output_ / kStoreOfSamples);
  remove_shards(".h5");
  remove_shards(".h5.tmp");
}

void PrepareJournal::remove_shards(std::string_view ending) const {
  static const std::regex shard("[A-Za-z0-9_]+-[0-9]{5,}-[0-9]{3,}\\.h5(\\.tmp)?");
  for (const fs::directory_entry& entry : fs::directory_iterator(output_)) {
    const std::string name = entry.path().filename().string();
    if (std::regex_match(name, shard) && name.ends_with(ending)) fs::remove(entry.path());
  }
}

std::map<int64_t, MadeUnit> PrepareJournal::made() const {
  std::map<int64_t, MadeUnit> all;
  for (const fs::directory_entry& entry : fs::directory_iterator(units())) {
    const std::optional<int64_t> unit = parse_number<int64_t>(entry.path().filename().string());
    if (!unit) continue;  // a claim, or not ours
    MadeUnit made = MadeUnit::from_json(read_file(entry.path()), entry.path().string());
    if (std::all_of(made.shards.begin(), made.shards.end(), [&](const ShardEntry& shard) { return is_there(output_, shard); }))
      all.emplace(*unit, std::move(made));
  }
  return all;
}

bool PrepareJournal::claim(int64_t unit) {
  const fs::path path = unit_file(unit).string() + ".claim";
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  const int code = errno;
  if (descriptor < 0 && code == EEXIST) return false;
  MPIBERT_CHECK(descriptor >= 0, kIo, "cannot create ", path.string(), ": ", std::strerror(code));
  ::close(descriptor);
  return true;
}

void PrepareJournal::record(int64_t unit, const MadeUnit& made) { write_file_atomically(unit_file(unit), made.json()); }

void PrepareJournal::finish() {
  change_folder(output_, [&] {
    fs::remove_all(units());
    fs::remove_all(output_ / kStoreOfSamples);
  });
}

}  // namespace mpibert
