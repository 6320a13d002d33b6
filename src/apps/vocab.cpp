#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/corpus_flags.h"
#include "apps/declarations.h"
#include "apps/session.h"
#include "comm/rank_0.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/tasks/corpus_words.h"
#include "mpibert/text/vocabulary_trainer.h"
#include "text/model_files.h"

namespace mpibert::apps {

namespace {

namespace fs = std::filesystem;

struct Settings {
  SessionFlags session;
  std::vector<std::string> input;
  CorpusFlags corpus;
  std::string output, strip_accents = "auto";
  bool cased = false, overwrite = false;
  TokenizerOptions tokenizer;
  VocabularyTrainerOptions trainer;
};

// The special tokens beside BERT's five are found in texts too.
std::vector<AddedToken> added_tokens(const std::vector<std::string>& special_tokens) {
  std::vector<AddedToken> added;
  for (const std::string& token : special_tokens) added.push_back({.content = token});
  return added;
}

void make_output(const fs::path& folder, bool overwrite) {
  MPIBERT_CHECK(overwrite || !fs::exists(folder / "vocab.txt"), kBusy, folder.string(),
                " holds a vocabulary already; choose another folder or give --overwrite");
  std::error_code code;
  fs::create_directories(folder, code);
  MPIBERT_CHECK(!code, kIo, "cannot make the output folder ", folder.string(), ": ", code.message());
}

void write_files(const Settings& settings, const Vocabulary& vocabulary) {
  const fs::path folder = settings.output;
  std::string text;
  for (const std::string& token : vocabulary.tokens()) text += token + "\n";
  write_file_atomically(folder / "tokenizer.json", tokenizer_json(settings.tokenizer, vocabulary, settings.trainer.wordpieces_prefix));
  write_file_atomically(folder / "tokenizer_config.json", tokenizer_config_json(settings.tokenizer, vocabulary));
  write_file_atomically(folder / "vocab.txt", text);
}

int run(Settings& settings) {
  const Session session = settings.session.open();
  settings.tokenizer.do_lower_case = !settings.cased;
  if (settings.strip_accents != "auto") settings.tokenizer.strip_accents = settings.strip_accents == "true";
  settings.tokenizer.added_tokens = added_tokens(settings.trainer.special_tokens);
  on_rank_0(*session.comm, "vocab", [&] { make_output(settings.output, settings.overwrite); });

  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  RankExchange exchange(*session.comm);
  const WordCounts words = count_corpus_words(
      {.inputs = {settings.input.begin(), settings.input.end()}, .corpus = settings.corpus.open(), .tokenizer = settings.tokenizer},
      exchange);
  const double counted = seconds();
  on_rank_0(*session.comm, "vocab", [&] {
    const Vocabulary vocabulary = train_vocabulary(words, settings.trainer);
    write_files(settings, vocabulary);
    if (vocabulary.size() < settings.trainer.vocab_size)
      log_info("the vocabulary has ", vocabulary.size(), " tokens, not ", settings.trainer.vocab_size, ": no other pair occurs ",
               settings.trainer.min_frequency, " times");
    int64_t total = 0;
    words.for_each([&](std::string_view, int64_t count) { total += count; });
    print_line(nlohmann::ordered_json({{"output", settings.output},
                                       {"tokens", vocabulary.size()},
                                       {"words", total},
                                       {"distinct_words", words.size()},
                                       {"seconds_counting", counted},
                                       {"seconds", seconds()}})
                   .dump());
  });
  return 0;
}

}  // namespace

std::function<int()> declare_vocab(Options& options) {
  auto s = std::make_shared<Settings>();
  VocabularyTrainerOptions& t = s->trainer;
  options.add({.name = "input", .target = &s->input, .help = "files and folders of text", .required = true});
  options.add(
      {.name = "output", .target = &s->output, .help = "folder for vocab.txt, tokenizer.json and tokenizer_config.json", .required = true});
  options.add({.name = "overwrite", .target = &s->overwrite, .help = "replace a vocabulary that is there"});
  s->corpus.declare(options);
  options.add({.name = "vocab-size", .target = &t.vocab_size, .help = "tokens at most", .minimum = 1, .maximum = 1 << 24});
  options.add(
      {.name = "min-frequency", .target = &t.min_frequency, .help = "pairs of pieces that occur less often are not joined", .minimum = 0});
  options.add({.name = "limit-alphabet", .target = &t.limit_alphabet, .help = "characters at most, the most frequent ones", .minimum = 0});
  options.add({.name = "initial-alphabet",
               .target = &t.initial_alphabet,
               .help = "characters that are in the alphabet in any case, one after another"});
  options.add({.name = "special-tokens", .target = &t.special_tokens, .help = "the first tokens, in this order"});
  options.add({.name = "wordpieces-prefix",
               .target = &t.wordpieces_prefix,
               .help = "of pieces that continue a word; BERT, and this program, knows ## alone"});
  options.add({.name = "cased", .target = &s->cased, .help = "keep case and accents"});
  options.add({.name = "strip-accents", .target = &s->strip_accents, .help = "auto: unless --cased", .choices = {"auto", "true", "false"}});
  options.add(
      {.name = "tokenize-chinese-chars", .target = &s->tokenizer.tokenize_chinese_chars, .help = "each Chinese character is a word"});
  options.add({.name = "clean-text", .target = &s->tokenizer.clean_text, .help = "drop control characters"});
  s->session.declare(options);
  return [s] { return run(*s); };
}

}  // namespace mpibert::apps
