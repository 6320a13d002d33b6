#include "base/python_random.h"

#include <gtest/gtest.h>

#include "mpibert/base/error.h"

namespace mpibert {

// What random.Random(seed) of Python 3.11 gives, in this order: three random(), getrandbits of 1, 7, 32, 33 and 64 bits, five randint(2,
// 125), randrange(2 ** 40), a shuffle of range(10), and getrandbits(32) after 100,000 more random().
struct Drawn {
  uint64_t seed;
  std::vector<double> random;
  std::vector<uint64_t> bits;
  std::vector<int64_t> integers;
  uint64_t large;
  std::vector<int> shuffled;
  uint64_t late;
};

class PythonRandomTest : public testing::TestWithParam<Drawn> {};

TEST_P(PythonRandomTest, GivesPythonsNumbers) {
  const Drawn& expected = GetParam();
  PythonRandom random(expected.seed);
  for (const double value : expected.random) EXPECT_EQ(random.random(), value);
  const std::vector<int> widths = {1, 7, 32, 33, 64};
  for (size_t i = 0; i < widths.size(); ++i) EXPECT_EQ(random.getrandbits(widths[i]), expected.bits[i]) << widths[i];
  for (const int64_t value : expected.integers) EXPECT_EQ(random.randint(2, 125), value);
  EXPECT_EQ(random.below(uint64_t{1} << 40), expected.large);
  std::vector<int> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  random.shuffle(values);
  EXPECT_EQ(values, expected.shuffled);
  for (int i = 0; i < 100000; ++i) random.random();
  EXPECT_EQ(random.getrandbits(32), expected.late);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PythonRandomTest,
                         testing::Values(Drawn{0,
                                               {0x1.b0580f98a7dbep-1, 0x1.84129978f9c1ap-1, 0x1.aeaa51052e978p-2},
                                               {0, 123, 2195908194, 2087043557, 14458531974522955699u},
                                               {108, 40, 125, 63, 47},
                                               480641685011,
                                               {6, 5, 3, 9, 7, 0, 1, 4, 2, 8},
                                               1684251632},
                                         Drawn{12345,
                                               {0x1.aa9e665dc8a18p-2, 0x1.4d392d1f6f840p-7, 0x1.a68177b361de3p-1},
                                               {0, 109, 1582316135, 4001984784, 10441007794851070986u},
                                               {57, 22, 49, 17, 113},
                                               573090097483,
                                               {1, 4, 6, 3, 0, 5, 7, 9, 2, 8},
                                               130940117},
                                         Drawn{4294967303,
                                               {0x1.cdd79ac3f8360p-3, 0x1.6f3517abe7aa2p-2, 0x1.99351583fc19ap-1},
                                               {1, 49, 3960919122, 7106140604, 1196459352076697509},
                                               {78, 100, 46, 76, 102},
                                               940940943813,
                                               {7, 8, 0, 5, 1, 6, 3, 2, 9, 4},
                                               3838436013}));

TEST(PythonRandom, RefusesAnEmptyRange) {
  PythonRandom random(1);
  EXPECT_THROW(random.below(0), Error);
  EXPECT_THROW(random.randint(3, 2), Error);
  EXPECT_THROW(random.getrandbits(65), Error);
}

}  // namespace mpibert
