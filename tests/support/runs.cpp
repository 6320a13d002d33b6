#include "tests/support/runs.h"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>

#include "tests/support/files.h"

namespace mpibert::test {

namespace {

std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::vector<double> metrics(const std::filesystem::path& run, const std::string& name) {
  std::istringstream lines(read_text(run / "metrics.jsonl"));
  std::vector<double> found;
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"" + name + "\":") != std::string::npos) found.push_back(number_in(line, name));
  return found;
}

}  // namespace

std::vector<std::string> prepare_sample(const std::filesystem::path& shards) {
  return {"prepare",
          "--task",
          "pretraining",
          "--input",
          (sample() / "corpus.txt").string(),
          "--model",
          (sample() / "model").string(),
          "--output",
          shards.string(),
          "--max-seq-length",
          "64"};
}

std::vector<std::string> pretrain_sample(const std::filesystem::path& shards, const std::filesystem::path& run, int steps,
                                         const std::vector<std::string>& more) {
  return joined(
      {"pretrain", "--data", shards.string(), "--model", (sample() / "model" / "config.json").string(), "--output-dir", run.string(),
       "--max-steps", std::to_string(steps), "--global-batch-size", "32", "--learning-rate", "1e-3", "--warmup-steps", "2", "--slots", "8"},
      more);
}

std::vector<std::string> finetune_sample(const std::filesystem::path& model, const std::filesystem::path& run,
                                         const std::vector<std::string>& more) {
  return joined({"finetune", "--task", "mrpc", "--data", (sample() / "mrpc").string(), "--model", model.string(), "--output-dir",
                 run.string(), "--global-batch-size", "16", "--max-seq-length", "64"},
                more);
}

Finished expect_code(int code, const std::vector<std::string>& arguments, const Launch& launch) {
  Finished finished = run_program(arguments, launch);
  EXPECT_EQ(finished.code, code) << "mpibert " << testing::PrintToString(arguments) << "\n" << finished.err;
  return finished;
}

std::string digest(const std::filesystem::path& run) { return expect_code(0, {"checkpoint", "digest", run.string()}).out.substr(0, 64); }

double last_metric(const std::filesystem::path& run, const std::string& name) {
  const std::vector<double> found = metrics(run, name);
  return found.empty() ? std::numeric_limits<double>::quiet_NaN() : found.back();
}

double first_metric(const std::filesystem::path& run, const std::string& name) {
  const std::vector<double> found = metrics(run, name);
  return found.empty() ? std::numeric_limits<double>::quiet_NaN() : found.front();
}

double number_in(const std::string& json, const std::string& name) {
  const size_t at = json.find("\"" + name + "\":");
  return at == std::string::npos ? std::numeric_limits<double>::quiet_NaN() : std::strtod(json.c_str() + at + name.size() + 3, nullptr);
}

}  // namespace mpibert::test
