// Times the reading of text into sentences on one core. Usage: corpus_benchmark <file or folder of text>
// [wikiextractor|lines|text|jsonl|mediawiki] [times] [icu language] Prints one JSON object: bytes of the text and of its sentences, and MB
// of text a second of processor time (others may share the machine), median and best of the times that the whole is read.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "data/decompressor.h"
#include "mpibert/base/log.h"
#include "mpibert/data/corpus.h"

namespace {

using namespace mpibert;

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

int64_t bytes_of_text(const std::vector<std::filesystem::path>& files) {
  int64_t bytes = 0;
  std::vector<char> buffer(size_t{1} << 18);
  for (const auto& path : files) {
    Decompressor file(path);
    for (size_t got = 0; (got = file.read(buffer)) > 0;) bytes += static_cast<int64_t>(got);
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: corpus_benchmark <file or folder of text> [format] [times] [language, by ICU's rules]\n");
    return 64;
  }
  set_log_level(LogLevel::kError);
  CorpusOptions options{.format = corpus_format_from_name(argc > 2 ? argv[2] : "auto")};
  const int times = argc > 3 ? std::atoi(argv[3]) : 5;
  if (argc > 4) options = {.format = options.format, .sentences = SentenceRules::kIcu, .language = argv[4]};
  const std::vector<std::filesystem::path> files = list_corpus_files(std::vector<std::filesystem::path>{argv[1]});
  const int64_t bytes = bytes_of_text(files);
  std::vector<double> rates;
  int64_t documents = 0, sentences = 0, sentence_bytes = 0;
  for (int i = 0; i < times; ++i) {
    documents = sentences = sentence_bytes = 0;
    const double begin = processor_seconds();
    DocumentReader reader({.files = files}, options);
    for (Document document; reader.next(document); ++documents) {
      sentences += document.sentences();
      sentence_bytes += document.bytes();
    }
    rates.push_back(static_cast<double>(bytes) / 1e6 / (processor_seconds() - begin));
  }
  std::sort(rates.begin(), rates.end());
  std::printf(
      "{\"text_bytes\": %lld, \"sentence_bytes\": %lld, \"documents\": %lld, \"sentences\": %lld, \"median_mb_per_second\": %.1f, "
      "\"best_mb_per_second\": %.1f}\n",
      static_cast<long long>(bytes), static_cast<long long>(sentence_bytes), static_cast<long long>(documents),
      static_cast<long long>(sentences), rates[rates.size() / 2], rates.back());
  return 0;
}
