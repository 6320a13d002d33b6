#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/model_inputs.h"
#include "mpibert/base/error.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert::apps {

namespace {

struct Settings {
  TokenizerFlags tokenizer;
  bool offsets = false, tokens = false;
  std::string input = "-";
};

int run(const Settings& settings) {
  const BertTokenizer tokenizer = settings.tokenizer.open();
  std::ifstream file;
  if (settings.input != "-") {
    file.open(settings.input, std::ios::binary);
    MPIBERT_CHECK(file.is_open(), kNotFound, "cannot open ", settings.input, "; give a text file, or - for standard input");
  }
  std::istream& in = settings.input == "-" ? std::cin : file;
  std::string line;
  while (std::getline(in, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const Encoding encoding = tokenizer.encode(line);
    nlohmann::ordered_json object;
    object["ids"] = encoding.ids;
    if (settings.tokens) {
      auto tokens = nlohmann::json::array();
      for (const int32_t id : encoding.ids) tokens.push_back(tokenizer.vocabulary().token(id));
      object["tokens"] = tokens;
    }
    if (settings.offsets) {
      auto offsets = nlohmann::json::array();
      for (const Span& span : encoding.char_offsets) offsets.push_back({span.begin, span.end});
      object["offsets"] = offsets;
    }
    print_line(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return 0;
}

}  // namespace

std::function<int()> declare_tokenize(Options& options) {
  auto settings = std::make_shared<Settings>();
  settings->tokenizer.declare(options);
  options.add({.name = "offsets", .target = &settings->offsets, .help = "also the place of every token in its line, in characters"});
  options.add({.name = "tokens", .target = &settings->tokens, .help = "also the tokens themselves"});
  options.add({.name = "input", .target = &settings->input, .help = "text file, one text a line; - is standard input"});
  return [settings] { return run(*settings); };
}

}  // namespace mpibert::apps
