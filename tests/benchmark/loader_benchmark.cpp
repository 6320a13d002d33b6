// Times the preparation of text and the loading of batches, one thread, from a token store and from stored samples; of a data set that is
// there already, the loading alone. Usage: loader_benchmark <model folder with vocab.txt> <text file or folder, or prepared data set>
// [seconds] Prints one JSON object a storage: open_seconds is what a run or a resumed run waits for until the store is open and its first
// batch is there, at a position some epochs on.
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
  double open_seconds = 0, seconds = 0;
  int64_t samples = 0, sequences = 0, tokens = 0;
};

Rate load(const std::filesystem::path& folder, const std::filesystem::path& model, double limit_seconds) {
  const Vocabulary vocabulary = Vocabulary::from_model(model);
  Rate rate;
  Clock::time_point begin = Clock::now();
  Dataset dataset(folder, "train", false, {.seed = 1});
  rate.samples = dataset.size();
  LoaderOptions options{.global_batch_size = 256,
                        .slots = 8,
                        .last_slot = 8,
                        .micro_tokens = 8192,
                        .vocab_size = dataset.manifest().vocabulary_size,
                        .seed = 1};
  options.start_step = 5 * dataset.size() / 512;
  options.masking.emplace(vocabulary, MaskingOptions{});
  BatchLoader loader(std::move(dataset), options);
  loader.next();
  rate.open_seconds = seconds_since(begin);
  for (int warm_up = 0; warm_up < 4; ++warm_up) loader.next();
  for (begin = Clock::now(); rate.seconds < limit_seconds; rate.seconds = seconds_since(begin))
    for (const Slot& slot : loader.next())
      for (const Batch& batch : slot.micro_batches) {
        rate.sequences += batch.sequences();
        rate.tokens += batch.tokens();
      }
  return rate;
}

const char* name_of(Storage storage) { return storage == Storage::kTokens ? "tokens" : "samples"; }

void print(Storage storage, const Rate& rate) {
  std::printf(
      "{\"storage\": \"%s\", \"samples\": %lld, \"open_seconds\": %.3f, \"load_sequences_per_second\": %.0f, \"load_tokens_per_second\": "
      "%.0f}\n",
      name_of(storage), static_cast<long long>(rate.samples), rate.open_seconds, static_cast<double>(rate.sequences) / rate.seconds,
      static_cast<double>(rate.tokens) / rate.seconds);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: loader_benchmark <model folder with vocab.txt> <text file or folder, or prepared data set> [seconds]\n");
    return 64;
  }
  set_log_level(LogLevel::kWarning);
  const std::filesystem::path model = argv[1], text = argv[2];
  const double seconds = argc > 3 ? std::atof(argv[3]) : 5.0;
  if (std::filesystem::exists(text / "manifest.json")) {
    print(read_manifest(text).storage, load(text, model, seconds));
    return 0;
  }
  const test::TemporaryFolder folder;
  const BertTokenizer tokenizer = BertTokenizer::from_model(model);
  NoExchange alone;
  for (const Storage storage : {Storage::kTokens, Storage::kSamples}) {
    const std::filesystem::path output = folder / name_of(storage);
    const Clock::time_point begin = Clock::now();
    prepare({.inputs = {{.split = "train", .paths = {text}}}, .output = output, .storage = storage}, tokenizer, alone);
    std::printf("{\"storage\": \"%s\", \"prepare_seconds\": %.3f}\n", name_of(storage), seconds_since(begin));
    print(storage, load(output, model, seconds));
  }
  return 0;
}
