#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "mpibert/data/shard.h"
#include "mpibert/text/tokenizer.h"

// What is alike in all folders of samples that are made: names, the vocabulary beside them, what ranks tell each other of them.
namespace mpibert {

// The option of a manifest that says how many masks a sequence has at most, where masks are stored.
inline constexpr const char* kMaxPredictionsOption = "max_predictions_per_seq";

// "-00012-000": part 0 of what unit 12 gave.
std::string part_number(int64_t unit, int64_t part);
// "train-00012-000.h5"
std::string shard_name(const std::string& split, int64_t unit, int64_t part);

// vocab.txt and tokenizer_config.json.
void write_vocabulary(const std::filesystem::path& folder, const BertTokenizer& tokenizer);

// Runs f, which makes, empties or removes an output folder. The system's refusal becomes kPermission or kIo, naming the folder.
void change_folder(const std::filesystem::path& folder, const std::function<void()>& f);

// [file, count, tokens, longest, bytes, sha256]; from_json throws nlohmann's exceptions.
nlohmann::json to_json(const ShardEntry& shard);
ShardEntry shard_entry_from_json(const nlohmann::json& json);

}  // namespace mpibert
