#include "apps/corpus_flags.h"

namespace mpibert::apps {

void CorpusFlags::declare(Options& options) {
  options.add({.name = "format", .target = &format, .help = "of pre-training text", .choices = corpus_format_names()});
  options.add({.name = "text-field", .target = &corpus.text_field, .help = "JSON lines: the member that is the text"});
  options.add({.name = "strict",
               .target = &corpus.strict,
               .help = "a malformed page of a dump is an error; otherwise it is reported and left out"});
  options.add({.name = "min-characters",
               .target = &corpus.filter.min_characters,
               .help = "pre-training text: shorter documents are left out",
               .minimum = 0});
  options.add({.name = "script",
               .target = &corpus.filter.script,
               .help = "pre-training text: documents with few letters of it are left out; a language (en, ja) or a script (Latn)"});
  options.add({.name = "min-script-share",
               .target = &corpus.filter.min_script_share,
               .help = "of the letters of a document, with --script",
               .minimum = 0,
               .maximum = 1});
}

void CorpusFlags::declare_sentences(Options& options) {
  options.add({.name = "sentences",
               .target = &sentences,
               .help = "pre-training: how text is cut into sentences: fast; by ICU's rules for --language, slower",
               .choices = {"fast", "icu"}});
  options.add({.name = "language", .target = &corpus.language, .help = "--sentences icu: as en, de, zh-Hans"});
}

CorpusOptions CorpusFlags::open() const {
  CorpusOptions options = corpus;
  options.format = corpus_format_from_name(format);
  options.sentences = sentences == "icu" ? SentenceRules::kIcu : SentenceRules::kFast;
  return options;
}

}  // namespace mpibert::apps
