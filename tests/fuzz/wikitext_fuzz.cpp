// Any bytes are an article of a wiki: some text comes of them, in which no mark of the reader's own is left.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "data/wikitext.h"

using namespace mpibert;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const WikiNamespaces namespaces;
  const std::string text = plain_text_of_wikitext({reinterpret_cast<const char*>(data), size}, namespaces);
  const bool has_control = std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\n'; });
  if (has_control || text.find("\n\n") != std::string::npos || (!text.empty() && text.back() != '\n')) {
    std::fprintf(stderr, "wikitext_fuzz: not lines of text\n");
    std::abort();
  }
  return 0;
}
