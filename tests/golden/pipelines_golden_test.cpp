// `mpibert predict --pipeline` gives what transformers' pipelines gave (generate/pipelines.py), on one rank and dealt to three.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using Json = nlohmann::json;

constexpr double kTolerance = 1e-5;  // of scores; both sides compute in fp32, two layers

std::filesystem::path fixtures() { return source_folder() / "tests" / "golden" / "fixtures" / "pipelines"; }

std::vector<Json> cases() {
  std::ifstream file(fixtures() / "cases.jsonl");
  std::vector<Json> all;
  std::string line;
  std::getline(file, line);  // versions
  while (std::getline(file, line)) all.push_back(Json::parse(line));
  return all;
}

// Where two values differ by more than the tolerance, or in anything but numbers; empty if nowhere.
std::string difference(const Json& found, const Json& expected, const std::string& place) {
  if (found.is_number() && expected.is_number())
    return std::abs(found.get<double>() - expected.get<double>()) <= kTolerance ? ""
                                                                                : place + ": " + found.dump() + ", not " + expected.dump();
  if (found.is_array() && expected.is_array() && found.size() == expected.size()) {
    for (size_t i = 0; i < found.size(); ++i)
      if (const std::string text = difference(found[i], expected[i], place + "[" + std::to_string(i) + "]"); !text.empty()) return text;
    return "";
  }
  if (found.is_object() && expected.is_object() && found.size() == expected.size()) {
    for (const auto& [key, value] : expected.items()) {
      if (!found.contains(key)) return place + " has no " + key;
      if (const std::string text = difference(found[key], value, place + "." + key); !text.empty()) return text;
    }
    return "";
  }
  return found == expected ? "" : place + ": " + found.dump() + ", not " + expected.dump();
}

std::string input_of(const Json& lines) {
  std::string text;
  for (const Json& line : lines) text += (line.is_string() ? line.get<std::string>() : line.dump()) + "\n";
  return text;
}

void expect_case(const Json& each, const Launch& launch, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"predict", "--model", (fixtures() / each["model"].get<std::string>()).string()};
  for (const Json& flag : each["flags"]) words.push_back(flag.get<std::string>());
  words.insert(words.end(), more.begin(), more.end());
  Launch fed = launch;
  fed.input = input_of(each["lines"]);
  const Finished done = expect_code(0, words, fed);
  const std::string what = each["model"].get<std::string>() + " " + each["flags"].dump();
  std::istringstream out(done.out);
  std::string line;
  for (size_t i = 0; i < each["expected"].size(); ++i) {
    ASSERT_TRUE(std::getline(out, line)) << what << " ends before line " << i;
    EXPECT_EQ(difference(Json::parse(line), each["expected"][i], "line " + std::to_string(i)), "") << what;
  }
  EXPECT_FALSE(std::getline(out, line)) << what << " goes on: " << line;
}

}  // namespace

TEST(PipelinesGolden, EveryCaseGivesTheResultsOfTransformers) {
  ASSERT_GE(cases().size(), 20U);
  for (const Json& each : cases()) expect_case(each, {}, {});
}

// Small batches, and windows of a line or two, dealt to three ranks: the same results in the same order.
TEST(PipelinesGolden, ManyRanksAndSmallBatchesGiveTheSame) {
  const std::vector<Json> all = cases();
  for (size_t i = 0; i < all.size(); i += 5) expect_case(all[i], {.ranks = 3}, {"--micro-tokens", "16"});
}

}  // namespace mpibert::test
