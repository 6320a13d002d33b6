#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/program.h"

namespace mpibert::test {

// Words of the commands that many tests give, on the project's own sample.
std::vector<std::string> prepare_sample(const std::filesystem::path& shards);
std::vector<std::string> pretrain_sample(const std::filesystem::path& shards, const std::filesystem::path& run, int steps,
                                         const std::vector<std::string>& more = {});
std::vector<std::string> finetune_sample(const std::filesystem::path& model, const std::filesystem::path& run,
                                         const std::vector<std::string>& more = {});

// Runs it and fails the test with its messages unless it ends with `code`.
Finished expect_code(int code, const std::vector<std::string>& arguments, const Launch& launch = {});

std::string digest(const std::filesystem::path& run);
// A number of the last line of RUN/metrics.jsonl that has it.
double last_metric(const std::filesystem::path& run, const std::string& name);
double first_metric(const std::filesystem::path& run, const std::string& name);
// A number in one JSON object on a line.
double number_in(const std::string& json, const std::string& name);

}  // namespace mpibert::test
