#include <array>
#include <deque>
#include <set>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

// What transformers and this program keep beside the weights.
constexpr std::array kTextFiles = {"config.json",       "generation_config.json",  "vocab.txt",         "tokenizer.json",
                                   "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"};

std::map<std::string, std::string> read_text_files(const fs::path& folder) {
  std::map<std::string, std::string> texts;
  for (const char* name : kTextFiles) {
    if (fs::exists(folder / name)) texts[name] = read_file(folder / name);
  }
  return texts;
}

}  // namespace

LoadReport convert_model_folder(const fs::path& from, const fs::path& folder, WeightsFormat format) {
  MPIBERT_CHECK(!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder)), kBusy, folder.string(),
                " is there and not empty; give a new folder, so that no weights of another model lie beside those written");
  const WeightsReader reader(from);
  LoadReport report;
  std::set<std::string> names;
  std::deque<std::vector<std::byte>> data;
  std::vector<NamedTensor> tensors;
  for (const TensorInfo& tensor : reader.tensors()) {
    const std::string name = canonical_weight_name(tensor.name);
    if (is_known_buffer(name)) {
      report.ignored.push_back(tensor.name);
      continue;
    }
    MPIBERT_CHECK(names.insert(name).second, kCorrupt, from.string(), ": \"", tensor.name, "\" is the second name of the tensor \"", name, "\"");
    reader.read_bytes(tensor, data.emplace_back(tensor.bytes()));
    tensors.push_back({name, tensor.dtype, tensor.shape, data.back()});
    report.loaded.push_back(name);
    report.renamed += name != tensor.name;
  }
  save_model_folder(folder, tensors, read_text_files(fs::is_directory(from) ? from : from.parent_path()), format);
  return report;
}

}  // namespace mpibert
