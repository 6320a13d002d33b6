// The arrows between layers: who may include whom. The same table stands in src/README.md for people; one test holds the two together.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/files.h"

namespace mpibert::test {

namespace {

namespace fs = std::filesystem;

// Layers a layer may include beside itself; a word with a slash is one header of a layer.
const std::map<std::string, std::string>& allowed() {
  static const std::map<std::string, std::string> table = {
      {"base", ""},
      {"tensor", "base"},
      {"ops", "base tensor"},
      {"text", "base"},
      {"data", "base tensor ops text"},
      {"comm", "base tensor ops"},
      {"nn", "base tensor ops"},
      {"model", "base tensor ops nn data/batch.h data/schema.h"},
      {"optim", "base tensor ops nn"},
      {"interop", "base tensor ops nn"},
      {"tasks", "base tensor ops text data nn model interop"},
      {"train", "base tensor ops text data comm nn model optim interop tasks"},
      {"apps", "base tensor ops text data comm nn model optim interop tasks train"},
  };
  return table;
}

std::set<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

std::vector<std::string> included_by(const std::string& text, const std::regex& form) {
  std::vector<std::string> names;
  for (std::sregex_iterator i(text.begin(), text.end(), form), end; i != end; ++i) names.push_back((*i)[1]);
  return names;
}

// Quoted includes: "mpibert/LAYER/FILE" of the public headers, "LAYER/FILE" of the private ones.
std::vector<std::string> project_includes(const std::string& text) {
  static const std::regex quoted(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*"(?:mpibert/)?([^"]+)")re");
  return included_by(text, quoted);
}

std::vector<std::string> system_includes(const std::string& text) {
  static const std::regex angled(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*<([^>]+)>)re");
  return included_by(text, angled);
}

// What is wrong with including `header` in a file of `layer`; empty if nothing is.
std::string problem_of(const std::string& layer, const std::string& header) {
  const std::string other = header.substr(0, header.find('/'));
  if (other == layer) return "";
  if (!allowed().contains(other)) return "includes \"" + header + "\", which is in no layer";
  const std::set<std::string> may = words_of(allowed().at(layer));
  if (may.contains(other) || may.contains(header)) return "";
  return layer + " may not include \"" + header + "\"";
}

std::vector<fs::path> sources_below(const fs::path& root) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension().string();
    if (entry.is_regular_file() && std::set<std::string>{".h", ".cpp", ".cu", ".cuh"}.contains(extension)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

const fs::path& root() {
  static const fs::path path = MPIBERT_SOURCE_DIR;
  return path;
}

}  // namespace

TEST(Layers, EveryIncludeFollowsAnArrowOfTheTable) {
  size_t arrows = 0;
  for (const fs::path& tree : {root() / "include" / "mpibert", root() / "src"}) {
    for (const fs::path& file : sources_below(tree)) {
      const fs::path inside = file.lexically_relative(tree);
      const std::string layer = inside.begin()->string();
      if (inside == "mpibert.h") continue;  // the umbrella includes everything
      ASSERT_TRUE(allowed().contains(layer)) << file << " is in no layer of the table";
      for (const std::string& header : project_includes(read_text(file))) {
        ++arrows;
        EXPECT_EQ(problem_of(layer, header), "") << file;
      }
    }
  }
  EXPECT_GT(arrows, 50U) << "found hardly an include: the test looks in the wrong place";
}

TEST(Layers, ForbiddenArrowsAreSeen) {
  EXPECT_NE(problem_of("base", "tensor/tensor.h"), "");
  EXPECT_NE(problem_of("comm", "model/bert.h"), "");
  EXPECT_NE(problem_of("model", "data/batch_loader.h"), "");
  EXPECT_EQ(problem_of("model", "data/batch.h"), "");
  EXPECT_NE(problem_of("nn", "comm/communicator.h"), "");
  EXPECT_NE(problem_of("tasks", "elsewhere/a.h"), "");
  EXPECT_EQ(project_includes("#include \"mpibert/nn/linear.h\"\n  # include \"ops/check.h\"\n// #include \"no/no.h\"\n"),
            (std::vector<std::string>{"nn/linear.h", "ops/check.h"}));
}

// Two classes of one name break the one-definition rule: the linker keeps one of their std::vector functions, vtables and type_infos for
// both.
TEST(Layers, NoTwoHeadersDefineAClassOfOneName) {
  static const std::regex line(R"re((?:^|\n)(?:namespace ([a-z0-9_:]*) ?\{|(?:class|struct) (\w+)(?: final)?(?: :| \{)))re");
  std::map<std::string, fs::path> found;
  for (const char* top : {"src", "include"})
    for (const fs::path& file : sources_below(root() / top)) {
      if (file.extension() != ".h") continue;
      const std::string text = read_text(file);
      std::string space;  // empty inside an unnamed one
      for (std::sregex_iterator i(text.begin(), text.end(), line), end; i != end; ++i) {
        if (!(*i)[2].matched) {
          space = (*i)[1];
        } else if (!space.empty()) {
          const auto [first, is_new] = found.emplace(space + "::" + (*i)[2].str(), file);
          EXPECT_TRUE(is_new) << file << " and " << first->second << " both define " << first->first;
        }
      }
    }
  EXPECT_GT(found.size(), 100u);
}

// A row of src/README.md: | `data` | base, tensor, ops, text | ... |
TEST(Layers, TheTableForPeopleSaysTheSame) {
  const std::string readme = read_text(root() / "src" / "README.md");
  static const std::regex row(R"re(\n\| `([a-z]+)` \| ([^|]*) \|)re");
  std::map<std::string, std::set<std::string>> told;
  for (std::sregex_iterator i(readme.begin(), readme.end(), row), end; i != end; ++i) {
    std::string words = (*i)[2];
    std::replace_if(
        words.begin(), words.end(), [](char c) { return c == ',' || c == '`'; }, ' ');
    told[(*i)[1]] = words_of(words == "nothing" ? "" : words);
  }
  std::map<std::string, std::set<std::string>> meant;
  for (const auto& [layer, words] : allowed()) meant[layer] = words_of(words);
  EXPECT_EQ(told, meant);
}

// Public headers name no library but the standard one. What they include is compiled alone by headers_test.
TEST(Layers, PublicHeadersIncludeOnlyTheStandardLibrary) {
  const std::set<std::string> standard = words_of(
      "algorithm any array atomic barrier bit bitset charconv chrono compare complex concepts condition_variable coroutine deque exception "
      "execution "
      "filesystem format forward_list fstream functional future initializer_list iomanip ios iosfwd iostream istream iterator latch limits "
      "list locale map "
      "memory memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator semaphore set "
      "shared_mutex "
      "source_location span sstream stack stdexcept stop_token streambuf string string_view syncstream system_error thread tuple "
      "type_traits typeindex "
      "typeinfo unordered_map unordered_set utility valarray variant vector version "
      "cassert cctype cerrno cfenv cfloat cinttypes climits clocale cmath csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib cstring "
      "ctime cuchar cwchar "
      "cwctype");
  for (const fs::path& file : sources_below(root() / "include"))
    for (const std::string& name : system_includes(read_text(file)))
      EXPECT_TRUE(standard.contains(name)) << file << " includes <" << name << ">";
}

}  // namespace mpibert::test
