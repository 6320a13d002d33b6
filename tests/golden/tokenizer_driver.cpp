// Tokenizes for tokenizer_oracle.py.
// usage: tokenizer_driver VOCAB.txt OPTIONS.json   (OPTIONS is a string of JSON with the fields of TokenizerOptions)
// One JSON object a line comes in, {"a": text, "b": text or null, "max_length": n or null, "truncation": name}, and one goes out. Texts
// without max_length get no special tokens; ids alone, and what is remembered of words, are compared with that here. VOCAB.txt may be a
// model folder; then OPTIONS is not used.
#include <filesystem>
#include <iostream>
#include <map>

#include "mpibert/base/error.h"
#include "tests/golden/tokenizer_json.h"

int main(int argc, char** argv) {
  using mpibert::Truncation;
  using Json = nlohmann::json;
  if (argc != 3) return 2;
  try {
    const std::map<std::string, Truncation> truncations = {
        {"longest_first", Truncation::kLongestFirst}, {"only_first", Truncation::kOnlyFirst}, {"only_second", Truncation::kOnlySecond}};
    const mpibert::BertTokenizer tokenizer =
        std::filesystem::is_directory(argv[1])
            ? mpibert::BertTokenizer::from_model(argv[1])
            : mpibert::BertTokenizer(mpibert::Vocabulary::from_file(argv[1]), mpibert::test::options_from(Json::parse(argv[2])));
    for (std::string line; std::getline(std::cin, line);) {
      const Json request = Json::parse(line);
      const std::string a = request["a"];
      std::optional<std::string> b;
      if (!request["b"].is_null()) b = request["b"];
      mpibert::Encoding encoding;
      Json answer;
      try {
        if (request["max_length"].is_null()) encoding = tokenizer.encode(a);
        else encoding = tokenizer.encode(a, b, request["max_length"], truncations.at(request["truncation"]));
        answer = mpibert::test::to_json(encoding);
        if (request["max_length"].is_null()) {
          if (tokenizer.ids(a) != encoding.ids) answer["fast_path_differs"] = tokenizer.ids(a);
          if (tokenizer.ids(a) != encoding.ids) answer["fast_path_differs"] = "from the cache";
          if (tokenizer.encode(a) != encoding) answer["fast_path_differs"] = "places from the cache";
        }
      } catch (const mpibert::Error& error) {
        answer = {{"error", error.what()}};
      }
      std::cout << answer.dump() << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
