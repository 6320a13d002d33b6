#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/data/corpus_summary.h"
#include "mpibert/data/shard.h"

namespace mpibert {

// What the work on one unit of the input came to.
struct MadeUnit {
  std::vector<ShardEntry> shards;
  CorpusSummary summary{};  // of a token store

  std::string json() const;
  static MadeUnit from_json(const std::string& text, const std::string& where);
};

// Where the tokens are, inside the output folder, while stored samples of a pre-training are made of them.
inline constexpr const char* kStoreOfSamples = "tokens";

// The state of a preparation in its output folder, so that it can be stopped anywhere and go on. The folder holds
//   prepare.json     the digest of what is prepared: input, options, vocabulary, program
//   units/NUMBER     a file for each unit that is done, which names its shards; written after them
//   units/NUMBER.claim   made by the rank that works on the unit; gone when a preparation starts
// besides shards, and manifest.json when all is done; then units/ is removed.
class PrepareJournal {
 public:
  PrepareJournal(std::filesystem::path output, std::string identity) : output_(std::move(output)), identity_(std::move(identity)) {}

  // Of one rank, before the others go on: true if the very same preparation is finished already. Otherwise the folder is ready to work in;
  // what an unfinished preparation of the same identity left stays, and what one of another left is removed. Throws kBusy if a data set is
  // there and `overwrite` is not set.
  bool begin(bool overwrite);
  std::map<int64_t, MadeUnit> made() const;  // units whose shards are all there
  bool claim(int64_t unit);                  // false if another rank did
  void record(int64_t unit, const MadeUnit& made);
  void finish();  // behind the manifest

 private:
  std::filesystem::path units() const { return output_ / "units"; }
  std::filesystem::path unit_file(int64_t unit) const;
  bool is_same() const;
  void remove_leftovers() const;
  void remove_shards(std::string_view ending) const;

  std::filesystem::path output_;
  std::string identity_;
};

}  // namespace mpibert
