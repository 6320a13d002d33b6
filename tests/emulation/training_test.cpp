// The whole program on the emulated card: the trainer with the CUDA backend's host logic, beside the CPU.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

#include "mpibert/base/error.h"
#include "ops/step_decision.h"
#include "tests/support/files.h"
#include "tests/support/reference.h"
#include "tests/support/runs.h"

namespace mpibert::test {
namespace {

constexpr int kBatch = 8;

// A number of each step, from RUN/metrics.jsonl.
std::vector<double> each_step(const std::filesystem::path& run, const std::string& name) {
  std::istringstream lines(read_text(run / "metrics.jsonl"));
  std::vector<double> found;
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"grad_norm\":") != std::string::npos) found.push_back(number_in(line, name));
  return found;
}

class EmulatedProgram : public testing::Test {
 protected:
  void SetUp() override { expect_code(0, prepare_sample(folder_ / "shards")); }
  std::vector<std::string> command(const std::string& run, const std::string& device, const std::string& precision, int steps,
                                   const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {
        "--precision",          precision, "--device", device, "--lr-schedule", "constant", "--global-batch-size",
        std::to_string(kBatch), "--slots", "4"};
    if (std::ranges::find(more, "--matmul-cache") == more.end()) words.insert(words.end(), {"--matmul-tuning", "off"});
    words.insert(words.end(), more.begin(), more.end());
    return pretrain_sample(folder_ / "shards", folder_ / run, steps, words);
  }
  Launch emulated(int ranks = 1) { return {.ranks = ranks, .program = MPIBERT_EMULATED_PROGRAM}; }
  TemporaryFolder folder_;
};

class EmulatedTraining : public EmulatedProgram, public testing::WithParamInterface<const char*> {
 protected:
  std::vector<std::string> command(const std::string& run, const std::string& device, int steps = 3) {
    return EmulatedProgram::command(run, device, GetParam(), steps);
  }
};

// README.md, "How near the program is to the CPU's". The CPU has no fp16; it is compared in fp32.
TEST_P(EmulatedTraining, LossesAndNormsEqualTheCpus) {
  const std::string precision = GetParam();
  expect_code(0, EmulatedProgram::command("cpu", "cpu", precision == "fp16" ? "fp32" : precision, 3));
  expect_code(0, command("cuda", "cuda"), emulated());
  const double terms = precision == "fp32" ? 256 : 1,
               between = 2 * std::sqrt(48 * terms) * reference::unit_roundoff(precision_from_name(precision));
  constexpr double kRate = 5e-4, kWeights = 189440;  // the rate of the second step; that of the first is 0
  const double logit = std::sqrt(64) * 0.05;
  const std::vector<double> losses = each_step(folder_ / "cuda", "loss"), cpu_losses = each_step(folder_ / "cpu", "loss");
  const std::vector<double> norms = each_step(folder_ / "cuda", "grad_norm"), cpu_norms = each_step(folder_ / "cpu", "grad_norm");
  ASSERT_EQ(cpu_losses.size(), 3u);
  ASSERT_EQ(losses.size(), 3u);
  const double forward = between * logit * std::sqrt(2.0 / kBatch), update = kRate * std::sqrt(kWeights) * between * cpu_norms[1];
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(losses[i], cpu_losses[i], forward) << "step " << i + 1;
    EXPECT_NEAR(norms[i], cpu_norms[i], between * cpu_norms[i]) << "step " << i + 1;
  }
  EXPECT_NEAR(losses[2], cpu_losses[2], forward + update) << "after the first update";
}

// Also after a stop: two steps on two ranks, the third on one.
TEST_P(EmulatedTraining, TwoRanksAndARestartGiveTheBitsOfOne) {
  expect_code(0, command("one", "cuda"), emulated());
  expect_code(0, command("two", "cuda", 2), emulated(2));
  expect_code(0, command("two", "cuda"), emulated());
  EXPECT_EQ(digest(folder_ / "two"), digest(folder_ / "one"));
}

TEST_P(EmulatedTraining, NcclGivesTheBitsOfTheHostsMemory) {
  const auto run = [this](const std::string& name, int ranks, const std::string& comm) {
    std::vector<std::string> words = command(name, "cuda", 2);
    words.insert(words.end(), {"--comm", comm, "--global-batch-size", "4"});
    const Finished finished = expect_code(0, words, emulated(ranks));
    EXPECT_EQ(finished.err.find("cards exchange tensors over NCCL") != std::string::npos, comm == "nccl" && ranks > 1) << finished.err;
    return digest(folder_ / name);
  };
  const std::string expected = run("host", 2, "mpi");
  for (const int ranks : {1, 2, 3, 4}) EXPECT_EQ(run(str_cat("nccl", ranks), ranks, "nccl"), expected) << ranks << " ranks";
}

// Algorithms of products by measurement: the first run measures, later ones use what it has kept.
class EmulatedMatmulTuning : public EmulatedProgram {
 protected:
  // EMULATED_CUBLASLT_MS: the times of algorithms in order, backwards and in halves.
  static constexpr const char *kBackwards = "1 0.5 1 0.1", *kHalves = "1 1 0.5 0.1";
  static constexpr const char* kInRun = "matmul_algorithms.json";

  Finished train(const std::string& run, int steps, const std::string& cache, const char* times, int ranks = 1) {
    Launch launch = emulated(ranks);
    launch.environment = {std::string("EMULATED_CUBLASLT_MS=") + times};
    return expect_code(0, command(run, "cuda", "fp32", steps, {"--matmul-cache", folder_ / cache}), launch);
  }
  std::filesystem::path only_file(const std::string& cache) const {
    const std::vector<std::filesystem::directory_entry> files{std::filesystem::directory_iterator(folder_ / cache), {}};
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? std::filesystem::path() : files.front().path();
  }
};

TEST_F(EmulatedMatmulTuning, OneTableForAllRanksAndForTheWholeRun) {
  EXPECT_THAT(train("one", 2, "cache", kBackwards).err, testing::ContainsRegex("matrix products: [1-9][0-9]* kinds measured in "));
  const std::string table = read_text(only_file("cache"));
  EXPECT_THAT(table, testing::AllOf(testing::HasSubstr("\"id\":1,"), testing::Not(testing::HasSubstr("\"id\":3,"))));
  EXPECT_EQ(read_text(folder_ / "one" / kInRun), table);
  const std::string expected = digest(folder_ / "one");

  // Another run, on two ranks and with other times: the cache knows.
  EXPECT_THAT(train("two", 1, "cache", kHalves, 2).err, testing::HasSubstr("matrix products: 0 kinds measured"));
  // It goes on, whatever another cache says now.
  EXPECT_THAT(train("two", 2, "other", kHalves).err, testing::HasSubstr("matrix products: algorithms of this run"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other"));
  EXPECT_EQ(digest(folder_ / "two"), expected);

  // Both laws would hold for nothing if the algorithms gave the same bits.
  train("three", 2, "other", kHalves);
  EXPECT_NE(digest(folder_ / "three"), expected);
  expect_code(0, command("off", "cuda", "fp32", 2), emulated());
  EXPECT_NE(digest(folder_ / "off"), expected);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "off" / kInRun));
}

TEST_F(EmulatedMatmulTuning, ADamagedCacheIsMeasuredAnewAndADamagedRunSaysThatBitsMayDiffer) {
  train("one", 1, "cache", kBackwards);
  const std::filesystem::path file = only_file("cache");
  const std::string good = read_text(file);
  truncate_to(file, good.size() / 2);
  EXPECT_THAT(train("two", 1, "cache", kBackwards).err,
              testing::ContainsRegex("warning: .*this is no table of matmul algorithms.*measured anew"));
  EXPECT_EQ(read_text(file), good);

  write_text(folder_ / "one" / kInRun, "{}");
  EXPECT_THAT(train("one", 2, "cache", kBackwards).err, testing::HasSubstr("from here on products may differ in their last bits"));
  std::filesystem::remove(folder_ / "two" / kInRun);
  EXPECT_THAT(train("two", 2, "cache", kBackwards).err, testing::HasSubstr("by the library's first choice, as this run began"));
}

// What doctor says of a card, and gpu_check.sh looks for; and the plan of a training on one.
TEST(EmulatedCard, IsDescribedAndPlannedFor) {
  const Launch launch{.program = MPIBERT_EMULATED_PROGRAM};
  EXPECT_THAT(expect_code(0, {"doctor", "--json"}, launch).out,
              testing::HasSubstr("\"cuda:0\":{\"value\":\"emulated card, compute capability 9.0, 4 multiprocessors, "));
  EXPECT_THAT(expect_code(0, {"doctor"}, launch).out, testing::HasSubstr("ranks of this host: 0 -> cuda:0, 1 -> cuda:0, ..."));
  const std::string config = (sample() / "model" / "config.json").string();
  const std::vector<std::string> common = {"--model", config, "--device", "cuda", "--micro-tokens", "256"};
  std::vector<std::string> plan = {"plan", "--json", "--max-seq-length", "64"};
  plan.insert(plan.end(), common.begin(), common.end());
  EXPECT_GT(number_in(expect_code(0, plan, launch).out, "largest_micro_tokens"), 256);
}

// The card of the emulation has 4 GiB.
TEST_F(EmulatedProgram, SaysWhatWouldFitWhereACardHasTooLittleMemory) {
  const std::vector<std::string> words =
      command("run", "cuda", "fp32", 1, {"--global-batch-size", "65536", "--micro-tokens", "1000000", "--matmul-tuning", "off"});
  const std::string text = expect_code(72, words, {.program = MPIBERT_EMULATED_PROGRAM}).err;
  for (const char* part :
       {"cannot allocate", "on cuda:0", "memory of a rank:", "activations: ", "each rank, with ", "largest --micro-tokens that fits: "})
    EXPECT_THAT(text, testing::HasSubstr(part));
  const std::string fits = "largest --micro-tokens that fits: ";
  EXPECT_GT(std::stoll(text.substr(text.find(fits) + fits.size())), 1000);
}

// Three choices a sample, a batch that a card fills up to a number of sequences that three does not divide, dropout: the CPU's losses, and
// one rank's bits of two.
TEST(EmulatedMultipleChoice, LearnsAsTheCpuAndByTwoRanksAsByOne) {
  const TemporaryFolder folder;
  std::string rows;
  for (int i = 0; i < kBatch; ++i)
    rows += str_cat(R"({"context": "the baker sliced the bread .", "choices": ["he ate)", std::string(static_cast<size_t>(i), '.'),
                    R"(", "no baker sliced it", "never"], "label": )", i % 3, "}\n");
  write_text(folder / "train.jsonl", rows);
  const auto train = [&](const std::string& run, const std::string& device, const Launch& launch) {
    expect_code(0,
                {"finetune",
                 "--task",
                 "multiple-choice",
                 "--data",
                 (folder / "train.jsonl").string(),
                 "--model",
                 (sample() / "model" / "config.json").string(),
                 "--output-dir",
                 (folder / run).string(),
                 "--device",
                 device,
                 "--max-steps",
                 "2",
                 "--global-batch-size",
                 std::to_string(kBatch),
                 "--slots",
                 "2",
                 "--max-seq-length",
                 "32",
                 "--lr-schedule",
                 "constant",
                 "--report-steps",
                 "1",
                 "--matmul-tuning",
                 "off"},
                launch);
  };
  const Launch card{.program = MPIBERT_EMULATED_PROGRAM}, two_cards{.ranks = 2, .program = MPIBERT_EMULATED_PROGRAM};
  train("cpu", "cpu", {});
  train("cuda", "cuda", card);
  train("two", "cuda", two_cards);
  const double between = 2 * std::sqrt(48 * 256.0) * reference::unit_roundoff(DType::kFloat32);
  const double loss = each_step(folder / "cpu", "loss").at(0), norm = each_step(folder / "cpu", "grad_norm").at(0);
  EXPECT_NEAR(each_step(folder / "cuda", "loss").at(0), loss, between * std::sqrt(64) * 0.05 * std::sqrt(2.0 / kBatch));
  EXPECT_NEAR(each_step(folder / "cuda", "grad_norm").at(0), norm, between * norm);
  EXPECT_EQ(digest(folder / "two"), digest(folder / "cuda"));
}

INSTANTIATE_TEST_SUITE_P(Precision, EmulatedTraining, testing::Values("fp32", "bf16", "fp16"),
                         [](const auto& each) { return std::string(each.param); });

// A run that begins above what fp16 holds: half of 2^22 over 8 labels is 2^18, and the largest number is below 2^16.
class EmulatedLossScale : public EmulatedProgram {
 protected:
  static constexpr LossScaleOptions kOptions = {.dynamic = true, .initial = 0x1p22, .growth_interval = 2};
  static constexpr int kSteps = 8;

  std::vector<std::string> command(const std::string& run, int steps = kSteps) {
    return EmulatedProgram::command(run, "cuda", "fp16", steps, {"--initial-loss-scale", "4194304", "--loss-scale-growth-interval", "2"});
  }

  // The machine after each step of a run, fed with which of them the run skipped.
  static std::vector<StepState> course(const std::filesystem::path& run) {
    std::vector<StepState> states;
    StepState state{.loss_scale = kOptions.initial};
    double before = 0;
    for (const double skipped : each_step(run, "skipped")) {
      state.applied = skipped == before;
      update_loss_scale(state, kOptions);
      states.push_back(state);
      before = skipped;
    }
    return states;
  }

  // What the checkpoint of a step holds of the machine: its value and its good steps.
  static std::pair<double, double> saved(const std::filesystem::path& run, int step) {
    const std::string state = read_text(run / "checkpoints" / ("step-0000000" + std::to_string(step)) / "state.json");
    return {number_in(state, "value"), number_in(state, "good_steps")};
  }
};

TEST_F(EmulatedLossScale, FallsUntilItFitsGrowsAndGoesOnInTheMiddleOfAnInterval) {
  expect_code(0, command("one"), emulated());
  const std::vector<StepState> expected = course(folder_ / "one");
  const std::vector<double> scales = each_step(folder_ / "one", "loss_scale"), losses = each_step(folder_ / "one", "loss");
  ASSERT_EQ(scales.size(), static_cast<size_t>(kSteps));
  int fell = scales[0] < kOptions.initial, grew = 0;
  for (size_t i = 0; i < scales.size(); ++i) {
    EXPECT_EQ(scales[i], expected[i].loss_scale) << "after step " << i + 1;
    EXPECT_LT(losses[i], 10) << "a loss is reported without the scale";
    fell += i > 0 && scales[i] < scales[i - 1];
    grew += i > 0 && scales[i] > scales[i - 1];
  }
  EXPECT_TRUE(fell > 0 && grew > 0) << testing::PrintToString(scales);

  // The same on two ranks, stopped after the first finite step.
  const auto middle = std::ranges::find_if(expected, [](const StepState& state) { return state.good_steps == 1; });
  ASSERT_LT(middle, expected.end() - 1);
  const int stop = static_cast<int>(middle - expected.begin()) + 1;
  expect_code(0, command("two", stop), emulated(2));
  EXPECT_EQ(saved(folder_ / "two", stop), std::pair(middle->loss_scale, 1.0));
  expect_code(0, command("two"), emulated(2));
  EXPECT_EQ(each_step(folder_ / "two", "loss_scale"), scales);
  EXPECT_EQ(saved(folder_ / "two", kSteps), std::pair(expected.back().loss_scale, static_cast<double>(expected.back().good_steps)));
  EXPECT_EQ(digest(folder_ / "two"), digest(folder_ / "one"));
}

// A run in another precision saves a scale of 1, which is none to go on with.
TEST_F(EmulatedLossScale, BeginsAnewWhereARunChangesToFp16) {
  expect_code(0, EmulatedProgram::command("run", "cpu", "bf16", 1));
  const Finished f = expect_code(0, EmulatedProgram::command("run", "cuda", "fp16", 2), emulated());
  EXPECT_THAT(f.err, testing::HasSubstr("precision changes from bf16 to fp16 at step 1"));
  EXPECT_EQ(saved(folder_ / "run", 2), std::pair(65536.0, 1.0));
}

// What the program does when the cards cannot be joined, or no longer.
class EmulatedNccl : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    expect_code(0, prepare_sample(*folder_ / "shards"));
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  // A model so small that steps are short.
  std::vector<std::string> command(const std::vector<std::string>& more) {
    write_text(
        run_ / "config.json",
        R"({"model_type":"bert","vocab_size":1092,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":1,"intermediate_size":16,"max_position_embeddings":64})");
    std::vector<std::string> words = {"--device", "cuda", "--matmul-tuning", "off", "--global-batch-size", "3", "--slots", "3"};
    words.insert(words.end(), more.begin(), more.end());
    words = pretrain_sample(*folder_ / "shards", run_ / "run", 1000, words);
    words[4] = (run_ / "config.json").string();
    return words;
  }
  Launch emulated(int ranks, std::vector<std::string> environment = {}) {
    return {.ranks = ranks, .environment = std::move(environment), .program = MPIBERT_EMULATED_PROGRAM};
  }
  static TemporaryFolder* folder_;
  TemporaryFolder run_;
};
TemporaryFolder* EmulatedNccl::folder_ = nullptr;

TEST_F(EmulatedNccl, RanksOnOneCardAreRefusedByNameOrGoThroughTheHost) {
  const std::string card = "EMULATED_CARD=0000:3b:00.0";
  const Finished refused = expect_code(69, command({"--comm", "nccl"}), emulated(2, {card}));
  EXPECT_THAT(refused.err, testing::HasSubstr("NCCL (--comm nccl) cannot serve: ranks 0 and 1 share the card 0000:3b:00.0"));
  EXPECT_THAT(expect_code(69, command({"--comm", "nccl", "--device", "cpu"}), emulated(1)).err,
              testing::HasSubstr("this run computes on the CPU"));
  Program program(command({}), emulated(2, {card}));
  EXPECT_TRUE(program.wait_for("cards exchange tensors over the host's memory and MPI: ranks 0 and 1 share the card 0000:3b:00.0"));
}

struct Fault {
  std::string where, words;
  std::vector<std::string> options{};
};

// Within five seconds of the fault all ranks have ended, with one message: of the rank that fails, or, where a call never ends, of the
// first that waits in vain.
TEST_F(EmulatedNccl, AFaultOfAnyCallEndsTheJobWithOneMessage) {
  const std::string late = "asynchronously (a fault that showed later)";
  const Fault faults[] = {{"0 ncclGetUniqueId 1 fails", "from ncclGetUniqueId"},
                          {"2 ncclCommInitRankConfig 1 fails", "from ncclCommInitRankConfig"},
                          {"2 ncclCommInitRankConfig 1 never", "did not finish within 2000 ms", {"--timeout-seconds", "2"}},
                          {"2 ncclCommGetAsyncError 20 fails", "from ncclCommGetAsyncError"},
                          {"2 ncclGroupStart 2 fails", "from ncclGroupStart"},
                          {"2 ncclSend 3 fails", "from ncclSend"},
                          {"2 ncclRecv 3 fails", "from ncclRecv"},
                          {"2 ncclGroupEnd 2 fails", "from ncclGroupEnd"},
                          {"2 ncclGroupEnd 2 later", late},
                          {"2 ncclRecv 3 never", "did not finish within 2000 ms", {"--timeout-seconds", "2"}},
                          {"2 ncclAllReduce 2 fails", "from ncclAllReduce"},
                          {"2 ncclAllGather 2 fails", "from ncclAllGather"},
                          {"2 ncclReduceScatter 2 fails", "from ncclReduceScatter", {"--reduction", "fast"}},
                          {"2 ncclReduceScatter 2 later", late, {"--reduction", "fast"}}};
  for (const Fault& fault : faults) {
    Program program(command(fault.options), emulated(3, {"EMULATED_NCCL_FAULT=" + fault.where}));
    EXPECT_TRUE(program.wait_for("emulated NCCL: the fault")) << fault.where;
    const auto start = std::chrono::steady_clock::now();
    const Finished f = program.wait();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5)) << fault.where;
    EXPECT_EQ(f.code, 76) << fault.where << "\n" << f.err;
    EXPECT_THAT(f.err, testing::HasSubstr(fault.words)) << fault.where;
    const size_t first = f.err.find("error: ");
    EXPECT_NE(first, std::string::npos) << f.err;
    EXPECT_EQ(f.err.find("error: ", first + 1), std::string::npos) << fault.where << "\n" << f.err;
  }
}

}  // namespace
}  // namespace mpibert::test
