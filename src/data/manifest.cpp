#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "data/shard_format.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/parse_number.h"
#include "mpibert/data/dataset.h"

namespace mpibert {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

const std::string kFormat = "mpibert-dataset";
constexpr int64_t kVersion = 2;
constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr std::array<const char*, 2> kStorageNames = {"samples", "tokens"};  // by the value of Storage

Storage storage_from_name(const std::string& name, const std::string& where) {
  const auto found = std::ranges::find(kStorageNames, name);
  MPIBERT_CHECK(found != kStorageNames.end(), kCorrupt, where, ": storage is '", name, "', expected samples or tokens");
  return static_cast<Storage>(found - kStorageNames.begin());
}

template <class Range, class Value>
int64_t total(const Range& range, Value value) {
  int64_t sum = 0;
  for (const auto& element : range) sum += value(element);
  return sum;
}

ordered_json to_json(const ShardEntry& shard) {
  return {{"file", shard.file},       {"count", shard.count}, {"tokens", shard.tokens},
          {"longest", shard.longest}, {"bytes", shard.bytes}, {"sha256", shard.sha256}};
}

ordered_json to_json(const SplitEntry& split) {
  ordered_json shards = ordered_json::array();
  for (const ShardEntry& shard : split.shards) shards.push_back(to_json(shard));
  return {{"name", split.name},         {"labels", shard_format::schema_text(split.labels)},
          {"count", split.count()},     {"tokens", split.tokens()},
          {"longest", split.longest()}, {"dropped", split.dropped},
          {"shards", std::move(shards)}};
}

// A member of an object, of the type asked for; the error names it.
template <class T>
T member(const json& object, const char* name, const std::string& where) {
  try {
    return object.at(name).get<T>();
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(where, ": member '", name, "': ", error.what()));
  }
}

int64_t count_member(const json& object, const char* name, const std::string& where) {
  const int64_t value = member<int64_t>(object, name, where);
  MPIBERT_CHECK(value >= 0 && value < (int64_t{1} << 56), kCorrupt, where, ": member '", name, "' is ", value);
  return value;
}

ShardEntry shard_from_json(const json& object, const std::string& where) {
  ShardEntry shard;
  shard.file = member<std::string>(object, "file", where);
  MPIBERT_CHECK(
      !shard.file.empty() && std::filesystem::path(shard.file).filename() == shard.file && shard.file != ".." && shard.file != ".",
      kCorrupt, where, ": shard '", shard.file, "' is not the name of a file in this folder");
  shard.count = count_member(object, "count", where);
  shard.tokens = count_member(object, "tokens", where);
  shard.longest = count_member(object, "longest", where);
  shard.bytes = count_member(object, "bytes", where);
  shard.sha256 = member<std::string>(object, "sha256", where);
  return shard;
}

SplitEntry split_from_json(const json& object, const std::string& where) {
  SplitEntry split;
  split.name = member<std::string>(object, "name", where);
  split.labels = shard_format::schema_from_text(member<std::string>(object, "labels", where), where);
  split.dropped = count_member(object, "dropped", where);
  for (const json& shard : member<std::vector<json>>(object, "shards", where)) split.shards.push_back(shard_from_json(shard, where));
  MPIBERT_CHECK(split.count() == count_member(object, "count", where), kCorrupt, where, ": split '", split.name, "' has shards of ",
                split.count(), " samples, not the count it says");
  return split;
}

Manifest manifest_from_json(const json& root, const std::string& where) {
  const std::string format = member<std::string>(root, "format", where);
  MPIBERT_CHECK(format == kFormat, kCorrupt, where, ": format is '", format, "', expected '", kFormat, "'");
  const int64_t version = member<int64_t>(root, "version", where);
  MPIBERT_CHECK(version == kVersion, kCorrupt, where, ": version ", version, " of the format; this program reads version ", kVersion,
                ": prepare the data again");
  Manifest manifest;
  manifest.task = member<std::string>(root, "task", where);
  manifest.storage = storage_from_name(member<std::string>(root, "storage", where), where);
  manifest.seed = member<uint64_t>(root, "seed", where);
  manifest.max_seq_length = count_member(root, "max_seq_length", where);
  manifest.vocabulary_size = count_member(root, "vocabulary_size", where);
  manifest.vocabulary_sha256 = member<std::string>(root, "vocabulary_sha256", where);
  manifest.do_lower_case = member<bool>(root, "do_lower_case", where);
  manifest.label_names = member<std::vector<std::string>>(root, "label_names", where);
  for (const auto& [name, value] : member<std::map<std::string, std::string>>(root, "options", where))
    manifest.options.emplace_back(name, value);
  for (const json& split : member<std::vector<json>>(root, "splits", where)) manifest.splits.push_back(split_from_json(split, where));
  return manifest;
}

}  // namespace

int64_t SplitEntry::count() const {
  return total(shards, [](const ShardEntry& s) { return s.count; });
}
int64_t SplitEntry::tokens() const {
  return total(shards, [](const ShardEntry& s) { return s.tokens; });
}
int64_t SplitEntry::longest() const {
  int64_t most = 0;
  for (const ShardEntry& shard : shards) most = std::max(most, shard.longest);
  return most;
}

const SplitEntry& Manifest::split(std::string_view name) const {
  std::string names;
  for (const SplitEntry& entry : splits) {
    if (entry.name == name) return entry;
    names += (names.empty() ? "" : ", ") + entry.name;
  }
  throw Error(ErrorKind::kNotFound, str_cat("the data set has no split '", name, "'; it has: ", names));
}

std::optional<std::string> Manifest::option(std::string_view name) const {
  const auto found = std::ranges::find(options, name, &std::pair<std::string, std::string>::first);
  return found == options.end() ? std::nullopt : std::optional(found->second);
}

int64_t Manifest::whole_number(std::string_view name) const {
  const std::string value = option(name).value_or("");
  const std::optional<int64_t> number = parse_number<int64_t>(value);
  MPIBERT_CHECK(number, kCorrupt, "manifest.json: the option \"", name, "\" is '", value,
                "', expected a whole number; prepare the data again");
  return *number;
}

Manifest read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "manifest.json";
  MPIBERT_CHECK(std::filesystem::is_directory(folder), kNotFound, folder.string(),
                " is not a folder; make a data set there with 'mpibert prepare'");
  MPIBERT_CHECK(std::filesystem::exists(path), kNotFound, "no data set in ", folder.string(),
                ": manifest.json is missing; make one with 'mpibert prepare' (one that did not finish has to be run again)");
  json root;
  try {
    root = json::parse(read_file(path, kMaxBytes));
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(path.string(), ": ", error.what()));
  }
  return manifest_from_json(root, path.string());
}

void write_manifest(const std::filesystem::path& folder, const Manifest& manifest) {
  ordered_json options = ordered_json::object(), splits = ordered_json::array();
  for (const auto& [name, value] : manifest.options) options[name] = value;
  for (const SplitEntry& split : manifest.splits) splits.push_back(to_json(split));
  const ordered_json root = {{"format", kFormat},
                             {"version", kVersion},
                             {"task", manifest.task},
                             {"storage", kStorageNames[static_cast<size_t>(manifest.storage)]},
                             {"seed", manifest.seed},
                             {"max_seq_length", manifest.max_seq_length},
                             {"vocabulary_size", manifest.vocabulary_size},
                             {"vocabulary_sha256", manifest.vocabulary_sha256},
                             {"do_lower_case", manifest.do_lower_case},
                             {"label_names", manifest.label_names},
                             {"options", std::move(options)},
                             {"splits", std::move(splits)}};
  write_file_atomically(folder / "manifest.json", root.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace mpibert
