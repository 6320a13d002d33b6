// MB/s of the tokenizer, one thread, line by line; tokenizer_peers.py sets them beside the peer. The text is the file named by
// MPIBERT_BENCHMARK_TEXT, else generated English-like lines; the
// vocabulary that of MPIBERT_BENCHMARK_VOCAB (a vocab.txt), else our small own one, which cuts words into more pieces than a real one.
// MPIBERT_BENCHMARK_CASED in the environment: do_lower_case off.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <thread>

#include "mpibert/base/file.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert {

namespace {

std::string generated_text() {
  const char* words[] = {"the",  "word",     "running", "Yesterday,", "a",   "don't", "of",    "un",
                         "cafe", "Istanbul", "wanted",  "no.",        "abc", "1984",  "(und)", "so"};
  std::string text;
  for (uint32_t i = 0; text.size() < (4u << 20); ++i) {
    text += words[(i * 2654435761u >> 16) % std::size(words)];
    text += i % 17 == 0 ? '\n' : ' ';
  }
  return text;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    if (length > 0) lines.push_back(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return lines;
}

struct Workload {
  std::string text;
  BertTokenizer tokenizer;
};

const Workload& workload() {
  static const Workload instance = [] {
    const char *text = std::getenv("MPIBERT_BENCHMARK_TEXT"), *vocab = std::getenv("MPIBERT_BENCHMARK_VOCAB");
    const std::string path = vocab ? vocab : MPIBERT_SOURCE_DIR "/tests/golden/fixtures/tokenizer_vocab.txt";
    TokenizerOptions options{.do_lower_case = std::getenv("MPIBERT_BENCHMARK_CASED") == nullptr};
    return Workload{text ? read_file(text) : generated_text(), BertTokenizer(Vocabulary::from_file(path), options)};
  }();
  return instance;
}

// A pass over the text; what it returns is the number of tokens.
using Pass = int64_t (*)(const BertTokenizer& tokenizer, const std::vector<std::string_view>& lines);

int64_t ids_pass(const BertTokenizer& tokenizer, const std::vector<std::string_view>& lines) {
  static std::vector<int32_t> ids;
  ids.clear();
  for (const std::string_view line : lines) tokenizer.append_ids(line, ids);
  benchmark::DoNotOptimize(ids.data());
  return static_cast<int64_t>(ids.size());
}

int64_t places_pass(const BertTokenizer& tokenizer, const std::vector<std::string_view>& lines) {
  int64_t tokens = 0;
  for (const std::string_view line : lines) tokens += static_cast<int64_t>(tokenizer.encode(line).ids.size());
  return tokens;
}

}  // namespace

// `first`: each pass is the first of its thread, which remembers no word yet.
void tokenize(benchmark::State& state, Pass pass, bool first) {
  const Workload& work = workload();
  const std::vector<std::string_view> lines = lines_of(work.text);
  int64_t tokens = pass(work.tokenizer, lines);
  for (auto _ : state) {
    if (first) std::jthread([&] { tokens = pass(work.tokenizer, lines); });
    else tokens = pass(work.tokenizer, lines);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(work.text.size()));
  state.SetItemsProcessed(state.iterations() * tokens);
  state.counters["tokens"] = static_cast<double>(tokens);
}
BENCHMARK_CAPTURE(tokenize, ids, ids_pass, false)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(tokenize, ids_first, ids_pass, true)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(tokenize, places, places_pass, false)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(tokenize, places_first, places_pass, true)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

void load_vocabulary(benchmark::State& state) {
  const Vocabulary vocabulary = workload().tokenizer.vocabulary();
  for (auto _ : state) benchmark::DoNotOptimize(BertTokenizer(vocabulary));
}
BENCHMARK(load_vocabulary)->Unit(benchmark::kMillisecond);

}  // namespace mpibert

BENCHMARK_MAIN();
