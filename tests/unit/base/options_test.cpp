#include "mpibert/base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

struct Settings {
  int64_t steps = 10;
  double rate = 1e-4;
  bool shuffle = true;
  std::string optimizer = "adamw";
  std::vector<std::string> input;
  Options options;
  Settings() {
    options.add({.name = "max-steps", .target = &steps, .help = "steps", .minimum = 1});
    options.add({.name = "learning-rate", .target = &rate, .help = "rate", .minimum = 0});
    options.add({.name = "shuffle", .target = &shuffle, .help = "shuffle"});
    options.add({.name = "optimizer", .target = &optimizer, .help = "which", .choices = {"adamw", "lamb"}});
    options.add({.name = "input", .target = &input, .help = "files", .required = true});
  }
};

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST(Options, SetsEveryKindAndRemembersWho) {
  Settings s;
  s.options.set("max_steps", {"500"}, "flag");
  s.options.set("learning-rate", {"5e-5"}, "run.toml");
  s.options.set("shuffle", {"false"}, "flag");
  s.options.set("input", {"a", "b"}, "flag");
  EXPECT_EQ(s.steps, 500);
  EXPECT_EQ(s.rate, 5e-5);
  EXPECT_FALSE(s.shuffle);
  EXPECT_EQ(s.input, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.options.find("learning-rate")->origin, "run.toml");
  EXPECT_EQ(s.options.toml(),
            "max-steps = 500  # flag\nlearning-rate = 5e-05  # run.toml\nshuffle = false  # flag\noptimizer = \"adamw\"  # default\n"
            "input = [\"a\", \"b\"]  # flag\n");
}

TEST(Options, ErrorsSayWhatWasExpectedAndSuggest) {
  Settings s;
  EXPECT_THAT(message_of([&] { s.options.set("lerning-rate", {"1"}, "run.toml"); }),
              testing::AllOf(testing::HasSubstr("did you mean 'learning-rate'"), testing::HasSubstr("run.toml")));
  EXPECT_THAT(message_of([&] { s.options.set("max-steps", {"many"}, "flag"); }),
              testing::HasSubstr("--max-steps expects a whole number, not 'many'"));
  EXPECT_THAT(message_of([&] { s.options.set("max-steps", {"0"}, "flag"); }), testing::HasSubstr("at least 1"));
  EXPECT_THAT(message_of([&] { s.options.set("optimizer", {"lmb"}, "flag"); }), testing::HasSubstr("did you mean lamb?"));
  EXPECT_THAT(message_of([&] { s.options.check_required(); }), testing::HasSubstr("--input is missing"));
  EXPECT_EQ(s.options.nearest("zzzzzzzz"), "");
}

TEST(Options, WordsAreSplitAtCommas) {
  EXPECT_EQ(split_at_commas({"a, b", "c"}), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(split_at_commas({" a b ,,\t"}), (std::vector<std::string>{"a b", "", ""}));
  EXPECT_EQ(split_at_commas({""}), std::vector<std::string>{""});
  EXPECT_TRUE(split_at_commas({}).empty());
}

TEST(Options, NumbersReadBackToTheSameBits) {
  for (const double value : {0.1, 1.0 / 3, 1e-300, 5e-5, 123456789.0}) EXPECT_EQ(std::stod(number_text(value)), value);
}

}  // namespace mpibert
