#include "mpibert/interop/model_folder.h"

#include <algorithm>
#include <array>
#include <set>

#include "interop/weight_names.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/interop/pytorch.h"
#include "mpibert/interop/safetensors.h"
#include "mpibert/interop/tensorflow.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

namespace {

// Heads as transformers names them. A model either has one whole or lacks it whole.
constexpr std::array<std::string_view, 5> kKnownHeads = {"cls.predictions.", "cls.seq_relationship.", "classifier.", "qa_outputs.",
                                                         "bert.pooler."};

bool starts_with_any(std::string_view name, std::span<const std::string> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) { return name.starts_with(prefix); });
}

std::string_view known_head(std::string_view name) {
  const auto head = std::find_if(kKnownHeads.begin(), kKnownHeads.end(), [&](std::string_view prefix) { return name.starts_with(prefix); });
  return head == kKnownHeads.end() ? std::string_view() : *head;
}

// The part of a model that is there or absent as one: a known head, or what the caller calls one.
std::string head_of(std::string_view name, std::span<const std::string> prefixes) {
  if (const std::string_view head = known_head(name); !head.empty()) return std::string(head);
  for (const std::string& prefix : prefixes) {
    if (name.starts_with(prefix)) return prefix;
  }
  return "";
}

void replace_ending(std::string& name, std::string_view ending, std::string_view with) {
  if (name.ends_with(ending)) name.replace(name.size() - ending.size(), ending.size(), with);
}

// One call of load_weights: what the folder has, what is wanted, and what becomes of each name.
class Match {
 public:
  Match(const WeightsReader& reader, const std::filesystem::path& folder, std::span<const WantedTensor> wanted,
        std::span<const std::string> prefixes, bool replace_head)
      : reader_(reader),
        folder_(folder.string()),
        wanted_(wanted),
        prefixes_(prefixes),
        replace_head_(replace_head),
        stored_(model_tensors(reader)) {
    for (const WantedTensor& tensor : wanted_) {
      const std::string name = canonical_weight_name(tensor.name);
      MPIBERT_CHECK(wanted_names_.insert(name).second, kInvalidArgument, "\"", name, "\" is wanted twice");
    }
    for (const ModelTensor& tensor : stored_) {
      const auto [at, is_new] = present_.emplace(tensor.name, &tensor);
      MPIBERT_CHECK(is_new, kCorrupt, folder_, ": \"", at->second->tensor.name, "\" and \"", tensor.tensor.name,
                    "\" are two names for one tensor");
    }
    // A head saved with the decoder's name for its bias only: the two are one tensor.
    if (const auto bias = present_.find(kDecoderBias); bias != present_.end()) present_.emplace(kPredictionsBias, bias->second);
  }

  LoadReport check() {
    for (const WantedTensor& tensor : wanted_) place_wanted(tensor);
    for (const auto& [name, tensor] : present_) {
      if (!wanted_names_.contains(name)) place_unwanted(name, *tensor);
    }
    refuse_wrong_names();
    refuse_partial_heads();
    MPIBERT_CHECK(shapes_.empty(), kInvalidArgument, folder_, ": shapes differ: ", listed_names(shapes_),
                  "; the configuration is of another model, or a head of other labels is wanted");
    return std::move(report_);
  }

  void deliver(const TensorSink& sink) const {
    for (const auto& [wanted, tensor] : found_) {
      const std::vector<float> values = reader_.read_floats(*tensor);
      check_finite(reader_, *tensor, values);
      sink(wanted->name, values);
    }
  }

 private:
  // The pooler is pre-trained and fits any number of labels, so it is kept though it may be absent.
  bool is_replaced(std::string_view name) const {
    return replace_head_ && starts_with_any(name, prefixes_) && !name.starts_with("bert.pooler.");
  }

  void place_wanted(const WantedTensor& wanted) {
    const std::string name = canonical_weight_name(wanted.name);
    const auto at = present_.find(name);
    if (at == present_.end() || is_replaced(name)) {
      (starts_with_any(name, prefixes_) ? report_.fresh : missing_).push_back(wanted.name);
      return;
    }
    const TensorInfo& tensor = at->second->tensor;
    if (tensor.shape != wanted.shape)
      shapes_.push_back(str_cat(tensor.name, " is ", tensor.shape.text(), ", wanted ", wanted.shape.text()));
    report_.loaded.push_back(wanted.name);
    report_.renamed += wanted.name != tensor.name;
    found_.emplace_back(&wanted, &tensor);
  }

  void place_unwanted(const std::string& name, const ModelTensor& stored) {
    const TensorInfo& tensor = stored.tensor;
    const std::string_view head = known_head(name);
    const bool wants_head = std::any_of(wanted_names_.begin(), wanted_names_.end(),
                                        [&](const std::string& other) { return !head.empty() && other.starts_with(head); });
    if (stored.role == ModelTensor::Role::kBuffer) {
      report_.ignored.push_back(tensor.name);
    } else if (stored.role == ModelTensor::Role::kTrainingState) {
      report_.training_state.push_back(tensor.name);
    } else if (name == kPredictionsBias && tensor.name == kDecoderBias) {
      // The second entry of one tensor; counted under its own name.
    } else if (!head.empty() && !wants_head) {
      report_.dropped.push_back(tensor.name);
    } else if (is_decoder(name)) {
      check_tied(reader_, stored_, stored, folder_);
      report_.ignored.push_back(tensor.name);
    } else if (is_replaced(name)) {
      report_.dropped.push_back(tensor.name);
    } else {
      unknown_.push_back(tensor.name);
    }
  }

  void refuse_wrong_names() const {
    if (missing_.empty() && unknown_.empty()) return;
    std::string message = folder_ + ": the weights are not those of the model asked for";
    if (!missing_.empty()) message += str_cat("; missing: ", listed_names(missing_));
    if (!unknown_.empty()) message += str_cat("; unknown: ", listed_names(unknown_));
    throw Error(ErrorKind::kInvalidArgument, message);
  }

  void refuse_partial_heads() const {
    std::map<std::string, std::string> heads_there;  // head -> a name of it in the folder
    for (const std::string& name : report_.loaded) heads_there.emplace(head_of(canonical_weight_name(name), prefixes_), name);
    for (const std::string& name : report_.fresh) {
      const auto there = heads_there.find(head_of(canonical_weight_name(name), prefixes_));
      MPIBERT_CHECK(there == heads_there.end(), kCorrupt, folder_, ": a head is there in part: \"", there->second, "\" is, \"", name,
                    "\" is not");
    }
  }

  const WeightsReader& reader_;
  std::string folder_;
  std::span<const WantedTensor> wanted_;
  std::span<const std::string> prefixes_;
  bool replace_head_;
  std::set<std::string> wanted_names_;  // canonical
  std::vector<ModelTensor> stored_;
  std::map<std::string, const ModelTensor*, std::less<>> present_;  // canonical name -> tensor
  std::vector<std::pair<const WantedTensor*, const TensorInfo*>> found_;
  std::vector<std::string> missing_, unknown_, shapes_;
  LoadReport report_;
};

}  // namespace

std::string canonical_weight_name(std::string_view name) {
  std::string canonical(name);
  for (const std::string_view part : {"embeddings.", "encoder.", "pooler."}) {
    if (canonical.starts_with(part)) {
      canonical.insert(0, "bert.");
      break;
    }
  }
  replace_ending(canonical, "LayerNorm.gamma", "LayerNorm.weight");
  replace_ending(canonical, "LayerNorm.beta", "LayerNorm.bias");
  return canonical;
}

bool is_known_buffer(std::string_view name) { return name == "bert.embeddings.position_ids" || name == "bert.embeddings.token_type_ids"; }

std::filesystem::path config_file(const std::filesystem::path& folder) {
  const std::filesystem::path ours = folder / "config.json", googles = folder / "bert_config.json";
  return !std::filesystem::exists(ours) && std::filesystem::exists(googles) ? googles : ours;
}

std::string LoadReport::text() const {
  std::string line = str_cat(loaded.size(), " tensors loaded");
  if (renamed > 0) line += str_cat(" (", renamed, " under other names)");
  if (!fresh.empty()) line += str_cat("; new, to be trained: ", listed_names(fresh));
  if (!dropped.empty()) line += str_cat("; left out, of another head: ", listed_names(dropped));
  if (!training_state.empty())
    line += str_cat("; state of its training, left out (", training_state.size(), "): ", listed_names(training_state, 3));
  if (!ignored.empty()) line += str_cat("; no parameters: ", listed_names(ignored));
  return line;
}

LoadReport load_weights(const std::filesystem::path& folder, std::span<const WantedTensor> wanted,
                        std::span<const std::string> head_prefixes, const TensorSink& sink, bool replace_head) {
  const WeightsReader reader(folder);
  Match match(reader, folder, wanted, head_prefixes, replace_head);
  const LoadReport report = match.check();
  match.deliver(sink);
  return report;
}

void save_model_folder(const std::filesystem::path& folder, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& text_files, WeightsFormat format) {
  for (const auto& [name, text] : text_files) {
    MPIBERT_CHECK(!name.empty() && name != "." && name != ".." && name != "model.safetensors" && name != "pytorch_model.bin" &&
                      name.find_first_of(std::string("/\0", 2)) == std::string::npos,
                  kInvalidArgument, "\"", name, "\" cannot be the name of a text file in a model folder");
  }
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  MPIBERT_CHECK(!code, kBusy, "cannot make the folder ", folder.string(), ": ", code.message());
  for (const auto& [name, text] : text_files) write_file_atomically(folder / name, text);
  switch (format) {
    case WeightsFormat::kSafetensors:
      return write_safetensors(folder / "model.safetensors", tensors);
    case WeightsFormat::kPytorch:
      return write_pytorch(folder / "pytorch_model.bin", tensors);
    case WeightsFormat::kTensorflow:
      return write_tensorflow(folder / "bert_model.ckpt", tensors);
  }
}

}  // namespace mpibert
