#include <array>
#include <deque>
#include <optional>
#include <set>

#include "interop/tensorflow_names.h"
#include "interop/weight_names.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "mpibert/ops/host_cast.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

// What transformers and this program keep beside the weights.
constexpr std::array kTextFiles = {"config.json",           "generation_config.json",  "vocab.txt",        "tokenizer.json",
                                   "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"};

std::map<std::string, std::string> read_text_files(const fs::path& folder) {
  std::map<std::string, std::string> texts;
  for (const char* name : kTextFiles) {
    if (fs::exists(folder / name)) texts[name] = read_file(folder / name);
  }
  return texts;
}

// A tensor under the name and in the layout that it is written in.
struct Target {
  std::string name;
  TensorInfo tensor;
};

// None: the format's model has no such tensor.
std::optional<Target> target_of(const ModelTensor& tensor, WeightsFormat format, const std::string& where) {
  if (format != WeightsFormat::kTensorflow) return Target{tensor.name, tensor.tensor};
  const std::optional<TensorflowName> theirs = name_to_tensorflow(tensor.name);
  if (!theirs) return std::nullopt;
  return Target{theirs->name, theirs->is_transposed ? transposed(tensor.tensor, where) : tensor.tensor};
}

// The tensor's bytes, all of whose numbers are finite.
std::vector<std::byte> read_finite(const WeightsReader& reader, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  reader.read_bytes(tensor, bytes);
  if (!is_float(tensor.dtype)) return bytes;
  std::vector<float> values(static_cast<size_t>(tensor.shape.size()));
  host_cast(Tensor(bytes.data(), tensor.dtype, tensor.shape), host_tensor(std::span(values), tensor.shape));
  check_finite(reader, tensor, values);
  return bytes;
}

}  // namespace

LoadReport convert_model_folder(const fs::path& from, const fs::path& folder, WeightsFormat format,
                                const std::map<std::string, std::string>& more_texts) {
  MPIBERT_CHECK(!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder)), kBusy, folder.string(),
                " is there and not empty; give a new folder, so that no weights of another model lie beside those written");
  const WeightsReader reader(from);
  const std::vector<ModelTensor> stored = model_tensors(reader);
  refuse_unknown(stored, from.string());
  LoadReport report;
  std::set<std::string> names;
  std::deque<std::vector<std::byte>> data;
  std::vector<NamedTensor> tensors;
  std::vector<std::string> nameless;
  for (const ModelTensor& tensor : stored) {
    if (tensor.role != ModelTensor::Role::kParameter) {
      (tensor.role == ModelTensor::Role::kBuffer ? report.ignored : report.training_state).push_back(tensor.tensor.name);
      continue;
    }
    if (format == WeightsFormat::kTensorflow && is_decoder(tensor.name)) {
      check_tied(reader, stored, tensor, from.string());
      report.ignored.push_back(tensor.tensor.name);
      continue;
    }
    const std::optional<Target> target = target_of(tensor, format, from.string());
    if (!target) {
      nameless.push_back(tensor.tensor.name);
      continue;
    }
    MPIBERT_CHECK(names.insert(tensor.name).second, kCorrupt, from.string(), ": \"", tensor.tensor.name,
                  "\" is the second name of the tensor \"", tensor.name, "\"");
    data.push_back(read_finite(reader, target->tensor));
    tensors.push_back({target->name, target->tensor.dtype, target->tensor.shape, data.back()});
    report.loaded.push_back(tensor.name);
    report.renamed += target->name != tensor.tensor.name;
  }
  MPIBERT_CHECK(nameless.empty(), kInvalidArgument, from.string(),
                ": Google's BERT for TensorFlow has no names for: ", listed_names(nameless));
  std::map<std::string, std::string> texts = read_text_files(fs::is_directory(from) ? from : from.parent_path());
  for (const auto& [name, text] : more_texts) texts[name] = text;
  if (format == WeightsFormat::kTensorflow && texts.contains("config.json")) texts["bert_config.json"] = texts["config.json"];
  save_model_folder(folder, tensors, texts, format);
  return report;
}

}  // namespace mpibert
