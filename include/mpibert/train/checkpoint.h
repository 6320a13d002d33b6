#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mpibert/tensor/shape.h"

namespace mpibert {

// A checkpoint is a directory that is also a Hugging Face model folder, loadable as it stands by transformers:
//
//   RUN/checkpoints/step-00000050/
//     model.safetensors       the fp32 master of every parameter, whatever the precision of computing: logits elsewhere are those of the
//                             weights that training goes on from, a round trip is exact, and no second copy is needed
//     config.json vocab.txt tokenizer_config.json     (given by the caller)
//     optimizer.safetensors   fp32: "exp_avg.NAME", "exp_avg_sq.NAME" for each parameter NAME
//     state.json              TrainingState
//     MANIFEST.json           {"schema": 1, "program": "mpibert 0.1.0", "step": 50, "world_size": 2, "created": "2026-01-01T00:00:00Z",
//                              "score": 0.91 (if scored), "tensors": {"count": 597, "digest": SHA-256},
//                              "files": [{"name": "model.safetensors", "size": 1234, "sha256": ...}, ...]}   every file but itself
//   RUN/checkpoints/LATEST, BEST   name of a checkpoint, a newline: hints for people; the scan of the directory decides
//   RUN/checkpoints/PINNED         may be written by the user: names of checkpoints, one a line, that are never deleted
//
// Nothing in it depends on the number of ranks or on the device.
//
// Publishing: files go into .tmp-step-00000050-NONCE, each synced, the manifest last; the directory is synced, renamed to its name, and
// the parent synced. So a directory called step-* is whole, unless the disk lost bytes later: then the manifest says so.
// A published checkpoint is never written to. Saving a step again keeps what is there if it verifies and says the same, and otherwise
// exchanges the directories in one system call (renameat2; where the file system lacks it the old one is moved to .old-* first, and moved
// back at the next start if the new one did not get its name). Deleting: renamed to .trash-*, parent synced, then unlinked. What a dead run
// left of .tmp-*, .old-* and .trash-* is removed at the next start, that is when a CheckpointWriter is made: make it before looking for
// the newest checkpoint.
// On reading, names in a manifest must be plain file names, and files in the directory that the manifest lacks are not looked at.

// Where a parameter lies in flat fp32 buffers that all have the same layout.
struct Slice {
  std::string name{};
  Shape shape{};
  int64_t offset = 0;  // elements
};

// state.json. What training needs beside the tensors in order to go on; there is no state of random numbers.
struct TrainingState {
  int64_t step = 0;
  int64_t samples_seen = 0;  // the position of the run: the data cursor
  int64_t tokens_seen = 0;
  double epoch = 0;
  uint64_t seed = 0;
  int64_t slots = 0;      // G of the exact reduction
  double loss_scale = 1;  // more than 0: LossScale::value()
  int64_t loss_scale_good_steps = 0;
  std::string dataset_fingerprint{};
  std::string parent{};                          // checkpoint that this run was resumed from; empty: none
  std::map<std::string, double> metrics{};       // last known; non-finite ones are saved as null and read as NaN
  std::map<std::string, std::string> options{};  // of the run, as resolved: field -> value
  std::map<std::string, std::string> extra{};    // for the trainer to use
  std::string json() const;
  static TrainingState from_json(const std::string& text, const std::string& where);  // throws kCorrupt naming `where`
};

// All that a checkpoint holds, in buffers of its own, so that training goes on while it is written.
struct Snapshot {
  TrainingState state{};
  std::vector<Slice> parameters{};                        // as nn declares them; names in the checkpoint
  std::vector<float> weights{};                           // flat, fp32 master
  std::map<std::string, std::vector<float>> optimizer{};  // "exp_avg" -> flat; as Optimizer::buffers() names them; may be empty
  std::map<std::string, std::string> files{};             // "config.json" -> text, ...
  std::optional<double> score{};                          // decides BEST: larger is better (give the negative of a loss)
  int64_t world_size = 1;                                 // noted only
};

enum class Verify : uint8_t {
  kSize,     // the manifest is readable, every file is there with its size
  kSha256,   // and has its hash
  kTensors,  // and the digest over the tensors agrees
};

// Throws kCorrupt naming file, expected and found; kNotFound if it is no checkpoint directory.
void verify_checkpoint(const std::filesystem::path& checkpoint, Verify level = Verify::kSha256);

// The newest checkpoint (largest step) of a run that verifies. Each newer one that does not is named in one warning of the log, and
// in `rejected`. Nothing if the run has no checkpoint; throws kCorrupt if it has some and none is good, or, without `fall_back`, if the
// newest is not.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run, Verify level = Verify::kSha256,
                                                       bool fall_back = true, std::vector<std::string>* rejected = nullptr);

// What --model PATH means: a run directory its newest good checkpoint, RUN/best the one with the best score, a checkpoint or a model folder
// itself. Throws kNotFound.
std::filesystem::path resolve_model_path(const std::filesystem::path& path);

// Reads a checkpoint into flat buffers laid out by `parameters` (elements between slices are 0). Verify first.
// Names and shapes must be exactly those of the checkpoint, and it must hold each of `optimizer_buffers`. Throws kInvalidArgument
// listing what differs (another model or optimizer), kCorrupt, kNotFound (a model folder without training state).
Snapshot load_checkpoint(const std::filesystem::path& checkpoint, std::vector<Slice> parameters,
                         const std::vector<std::string>& optimizer_buffers);

// SHA-256, 64 digits, over all weights and optimizer state in order of names, whatever wrote them and however they are spread over files:
//   for each tensor: name, 0, dtype name ("fp32"), 0, shape text ("[2, 3]"), 0, numbers as little-endian bytes.
// Names are canonical (canonical_weight_name); buffers and tied copies are left out. Equal digests mean equal tensors.
// `path`: a checkpoint, a run (its newest), or any model folder with safetensors.
std::string checkpoint_digest(const std::filesystem::path& path);

struct TensorDifference {
  std::string name{};
  std::string what{};     // "only in the first", "only in the second", "[2, 3] and [3, 2]", "values"
  double max_abs = 0;     // of the values, NaN if one has a NaN where the other has none; of the bits only (-0 and 0): 0
  int64_t different = 0;  // elements whose bits differ
  int64_t elements = 0;
};
// Tensors whose bits differ, by name. Empty: equal.
std::vector<TensorDifference> diff_checkpoints(const std::filesystem::path& first, const std::filesystem::path& second);

struct CheckpointInfo {
  std::filesystem::path path{};
  std::string name{};  // "step-00000050"
  int64_t step = 0, bytes = 0, world_size = 0;
  std::string created{}, digest{};
  std::optional<double> score{};
  std::string problem{};  // empty: its manifest is readable and sizes agree
  bool latest = false, best = false;
};
std::vector<CheckpointInfo> list_checkpoints(const std::filesystem::path& run);  // by step

std::string checkpoint_name(int64_t step);  // "step-00000050"

}  // namespace mpibert
