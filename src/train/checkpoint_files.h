#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mpibert/base/dtype.h"
#include "mpibert/base/sha256.h"
#include "mpibert/train/checkpoint.h"

// The parts of a checkpoint directory that both its writer and its readers know.
namespace mpibert {

inline constexpr const char* kManifest = "MANIFEST.json";
inline constexpr const char* kWeights = "model.safetensors";
inline constexpr const char* kOptimizerState = "optimizer.safetensors";
inline constexpr const char* kTrainingState = "state.json";

struct ManifestFile {
  std::string name;
  int64_t size = 0;
  std::string sha256;
  bool operator==(const ManifestFile&) const = default;
};

struct CheckpointManifest {
  int64_t step = 0, world_size = 1, tensor_count = 0;
  std::string created{}, digest{};
  std::optional<double> score{};
  std::vector<ManifestFile> files{};  // in order of names

  std::string json() const;
  const ManifestFile* find(const std::string& name) const;
};

// Throws kCorrupt naming the file and the member; kNotFound without the file.
CheckpointManifest read_checkpoint_manifest(const std::filesystem::path& checkpoint);

// A name that stays within its directory and is readable in a message.
bool is_plain_file_name(const std::string& name);

std::filesystem::path checkpoints_folder(const std::filesystem::path& run);

// Directories called step-NNNN of a run, by step; whether they are good is another question. Empty if there is none.
struct StepFolder {
  std::filesystem::path path;
  int64_t step = 0;
};
std::vector<StepFolder> step_folders(const std::filesystem::path& run);

// The one with the largest score among those without a problem, of equals the first; null if none has a score.
const CheckpointInfo* best_of(const std::vector<CheckpointInfo>& checkpoints);

// The hash of checkpoint_digest, fed in order of canonical names.
class TensorDigest {
 public:
  void add(const std::string& name, DType dtype, const Shape& shape, std::span<const std::byte> bytes);
  std::string hex() { return sha_.hex(); }

 private:
  Sha256 sha_;
};

std::string utc_now();  // "2026-01-01T00:00:00Z"

}  // namespace mpibert
