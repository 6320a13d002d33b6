// roundtrip_tool FOLDER RUN: reads a model folder as the program does and saves its weights as a checkpoint of step 1 of RUN, with the
// folder's text files. tests/golden/transformers_roundtrip.py looks at the result with the field's own library.
#include <cstdio>
#include <exception>
#include <filesystem>

#include "mpibert/base/file.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "mpibert/train/checkpoint_writer.h"

using namespace mpibert;

namespace {

void convert(const std::filesystem::path& folder, const std::filesystem::path& run) {
  Snapshot snapshot;
  snapshot.state.step = 1;
  std::vector<WantedTensor> wanted;
  const WeightsReader reader(folder);
  for (const TensorInfo& tensor : reader.tensors()) {
    const std::string name = canonical_weight_name(tensor.name);
    if (!is_known_buffer(name) && !name.starts_with("cls.predictions.decoder.")) wanted.push_back({name, tensor.shape});
  }
  load_weights(folder, wanted, {}, [&](const std::string& name, std::span<const float> values) {
    for (const WantedTensor& tensor : wanted) {
      if (tensor.name == name) snapshot.parameters.push_back({name, tensor.shape, static_cast<int64_t>(snapshot.weights.size())});
    }
    snapshot.weights.insert(snapshot.weights.end(), values.begin(), values.end());
  });
  snapshot.optimizer["exp_avg"] = snapshot.weights;
  for (const char* name : {"config.json", "vocab.txt", "tokenizer_config.json"}) {
    if (std::filesystem::exists(folder / name)) snapshot.files[name] = read_file(folder / name);
  }
  CheckpointWriter writer(run);
  writer.save(std::move(snapshot));
  writer.wait();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s FOLDER RUN\n", argv[0]);
    return 2;
  }
  try {
    convert(argv[1], argv[2]);
    std::printf("%s\n", checkpoint_digest(argv[2]).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
