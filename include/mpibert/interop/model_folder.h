#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/interop/named_tensor.h"
#include "mpibert/tensor/shape.h"

namespace mpibert {

// Weights of a Hugging Face model folder (one of find_weights, mpibert/interop/weights_reader.h), by name.

struct WantedTensor {
  std::string name{};  // as BertForPreTraining and its siblings name it, e.g. "bert.embeddings.word_embeddings.weight"
  Shape shape{};
};

// Called once for each wanted tensor that the folder holds, in the order of `wanted`, after everything has been checked.
using TensorSink = std::function<void(const std::string& name, std::span<const float> values)>;

struct LoadReport {
  std::vector<std::string> loaded{};          // names as wanted
  std::vector<std::string> fresh{};           // wanted, not in the folder, allowed to be new: a head to be trained
  std::vector<std::string> dropped{};         // names in the folder of a head that is not wanted
  std::vector<std::string> ignored{};         // names in the folder that are no parameters, or copies of a tied one (checked to be equal)
  std::vector<std::string> training_state{};  // names in the folder of an optimizer's state and counters
  int64_t renamed = 0;                        // loaded under another name than the folder's: "bert." added, LayerNorm gamma/beta
  std::string text() const;                   // one line for the log
};

// Reads `wanted` from the folder, as fp32. Names in the folder may lack "bert." and may call a LayerNorm's weight and bias gamma and beta.
//
// A wanted tensor may be absent only if its name begins with one of `head_prefixes` ("classifier.", "cls.", "bert.pooler."), and then
// together with all others of its head. A tensor that is not wanted may be present only if it belongs to a known head (cls.predictions,
// cls.seq_relationship, classifier, qa_outputs, bert.pooler) of which nothing is wanted, or is a position_ids or token_type_ids buffer,
// or is the tied decoder of cls.predictions with the same numbers. Everything else is refused, all names in one message:
//   kInvalidArgument  names unknown or missing: the folder is of another model than asked for; shapes that differ, or an untied decoder
//   kCorrupt          the file does not obey its format; a head that is there in part; two names for one tensor; a number that is not
//                     finite
//   kNotFound         no such folder, or no weights in it
// replace_head: tensors under `head_prefixes` other than the pooler are taken as new whatever the folder holds (another number of labels).
LoadReport load_weights(const std::filesystem::path& folder, std::span<const WantedTensor> wanted,
                        std::span<const std::string> head_prefixes, const TensorSink& sink, bool replace_head = false);

// The name that BertForPreTraining and its siblings give to a tensor that a folder calls `name`.
std::string canonical_weight_name(std::string_view name);
// True for buffers that old versions saved beside the parameters (canonical name).
bool is_known_buffer(std::string_view name);

enum class WeightsFormat : uint8_t { kSafetensors, kPytorch, kTensorflow };  // model.safetensors, pytorch_model.bin, bert_model.ckpt.*

// A model folder that transformers (kTensorflow: Google's BERT) loads: the weights, named as they are to be written, and the text files
// (config.json, vocab.txt, tokenizer_config.json: name -> text). Makes the folder; each file appears whole. Throws kInvalidArgument for a
// name that is not a plain file name.
void save_model_folder(const std::filesystem::path& folder, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& text_files, WeightsFormat format = WeightsFormat::kSafetensors);

// Saves the weights of `from` (a file, an index or a folder, as WeightsReader takes them) with the model's text files, found beside them,
// as a folder in another format, with `more_texts` added or in their place. Numbers keep their dtype; names become those of
// BertForPreTraining and its siblings, or those of Google's BERT in TensorFlow; buffers of old versions and the state of a training are
// left out and reported, nothing else. Throws as WeightsReader; kInvalidArgument for names that the other side lacks; kCorrupt for two
// names of one tensor, or a number that is not finite; kBusy unless `folder` is absent or empty.
LoadReport convert_model_folder(const std::filesystem::path& from, const std::filesystem::path& folder, WeightsFormat format,
                                const std::map<std::string, std::string>& more_texts = {});

// The configuration of a model folder: config.json, or Google's bert_config.json where only that is there.
std::filesystem::path config_file(const std::filesystem::path& folder);

}  // namespace mpibert
