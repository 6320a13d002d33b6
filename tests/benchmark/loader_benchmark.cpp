// Times the preparation of text and the loading of batches. Usage: loader_benchmark <model folder with vocab.txt> <text file or folder> [seconds]
// Prints one JSON object. The data set is made in a temporary folder, its digests are checked, then loading runs for the given time.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "mpibert/base/log.h"
#include "mpibert/data/batch_loader.h"
#include "mpibert/tasks/prepare.h"
#include "tests/support/files.h"

namespace {

using namespace mpibert;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

struct Rate {
  double seconds = 0;
  int64_t sequences = 0, tokens = 0;
};

Rate load(const std::filesystem::path& folder, const std::filesystem::path& model, double limit_seconds) {
  Dataset dataset(folder, "train", true);
  LoaderOptions options{.global_batch_size = 256, .slots = 8, .last_slot = 8, .micro_tokens = 8192, .vocab_size = dataset.manifest().vocabulary_size, .seed = 1};
  options.masking.emplace(Vocabulary::from_model(model), MaskingOptions{});
  BatchLoader loader(std::move(dataset), options);
  for (int warm_up = 0; warm_up < 4; ++warm_up) loader.next();
  Rate rate;
  const Clock::time_point begin = Clock::now();
  for (; rate.seconds < limit_seconds; rate.seconds = seconds_since(begin))
    for (const Slot& slot : loader.next())
      for (const Batch& batch : slot.micro_batches) {
        rate.sequences += batch.sequences();
        rate.tokens += batch.tokens();
      }
  return rate;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: loader_benchmark <model folder with vocab.txt> <text file or folder> [seconds]\n");
    return 64;
  }
  set_log_level(LogLevel::kWarning);
  const std::filesystem::path model = argv[1], text = argv[2];
  const test::TemporaryFolder folder;
  const BertTokenizer tokenizer = BertTokenizer::from_model(model);
  NoExchange alone;
  const Clock::time_point begin = Clock::now();
  const Manifest manifest = prepare({.inputs = {{.split = "train", .paths = {text}}}, .output = folder / "data"}, tokenizer, alone);
  const double prepare_seconds = seconds_since(begin);
  const Rate rate = load(folder / "data", model, argc > 3 ? std::atof(argv[3]) : 5.0);
  const SplitEntry& train = manifest.split("train");
  std::printf("{\"prepare_seconds\": %.3f, \"samples\": %lld, \"tokens\": %lld, \"prepare_tokens_per_second\": %.0f, \"load_sequences_per_second\": %.0f, \"load_tokens_per_second\": %.0f}\n",
              prepare_seconds, static_cast<long long>(train.count()), static_cast<long long>(train.tokens()), static_cast<double>(train.tokens()) / prepare_seconds,
              static_cast<double>(rate.sequences) / rate.seconds, static_cast<double>(rate.tokens) / rate.seconds);
  return 0;
}
