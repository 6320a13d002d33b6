#pragma once

#include <string>

#include "mpibert/base/options.h"
#include "mpibert/data/corpus.h"

namespace mpibert::apps {

// Which text of a corpus is read, and how.
struct CorpusFlags {
  CorpusOptions corpus;
  std::string format = "auto", sentences = "fast";

  void declare(Options& options);
  void declare_sentences(Options& options);  // also how it is cut into sentences
  CorpusOptions open() const;
};

}  // namespace mpibert::apps
