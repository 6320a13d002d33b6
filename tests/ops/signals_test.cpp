// Signals may arrive at any instruction of a product: a scheduler's, a profiler's timer. They change nothing.

#include <gtest/gtest.h>
#include <sys/time.h>

#include <csignal>

#include "mpibert/ops/backend.h"
#include "tests/support/reference.h"

namespace mpibert {
namespace {

using reference::Numbers;

volatile std::sig_atomic_t arrived = 0;

// SIGALRM every 50 microseconds while it lives.
class AlarmStorm {
 public:
  AlarmStorm() {
    arrived = 0;
    struct sigaction count {};
    count.sa_handler = [](int) { arrived = arrived + 1; };
    count.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &count, &before_);
    set_period(50);
  }
  ~AlarmStorm() {
    set_period(0);
    sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  static void set_period(int microseconds) {
    const itimerval period{.it_interval = {0, microseconds}, .it_value = {0, microseconds}};
    setitimer(ITIMER_REAL, &period, nullptr);
  }
  struct sigaction before_ {};
};

class Signals : public testing::TestWithParam<std::tuple<DType, bool, bool>> {};

TEST_P(Signals, DuringAProductChangeNothing) {
  const auto [dtype, transpose_a, transpose_b] = GetParam();
  constexpr int64_t kRows = 160, kColumns = 256, kDepth = 300;
  Numbers a = Numbers::normal(dtype, transpose_a ? Shape{kDepth, kRows} : Shape{kRows, kDepth}, 1);
  Numbers b = Numbers::normal(dtype, transpose_b ? Shape{kColumns, kDepth} : Shape{kDepth, kColumns}, 2);
  Numbers quiet(dtype, {kRows, kColumns}), stormy(dtype, {kRows, kColumns});
  const auto backend = make_backend({});
  const auto multiply = [&](Numbers& c) {
    backend->matmul({.a = a.tensor(), .b = b.tensor(), .transpose_a = transpose_a, .transpose_b = transpose_b, .c = c.tensor()});
  };
  multiply(quiet);
  {
    const AlarmStorm storm;
    for (int i = 0; arrived < 2000; ++i) {
      multiply(stormy);
      ASSERT_TRUE(std::ranges::equal(stormy.bytes(), quiet.bytes())) << "product " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Products, Signals,
                         testing::Combine(testing::Values(DType::kFloat32, DType::kBFloat16), testing::Bool(), testing::Bool()));

}  // namespace
}  // namespace mpibert
