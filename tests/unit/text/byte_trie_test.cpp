#include "text/byte_trie.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <string>

namespace mpibert {

namespace {

std::string random_string(std::minstd_rand& random, size_t letters, size_t max_length) {
  std::string result(1 + random() % max_length, ' ');
  for (char& c : result) c = static_cast<char>(random() % letters);
  return result;
}

}  // namespace

TEST(ByteTrie, FindsTheLongestEntryOfItsSet) {
  ByteTrie trie;
  const ByteTrie::Root one = trie.add({{"ab", 1}, {"abcd", 2}, {"b", 3}}), other = trie.add({{"a", 4}}), none = trie.add({});
  int32_t value = -1;
  EXPECT_EQ(trie.longest(one, "abcx", value), 2u);  // "abc" leads on but is none
  EXPECT_EQ(value, 1);
  EXPECT_EQ(trie.longest(one, "abcde", value), 4u);
  EXPECT_EQ(value, 2);
  EXPECT_EQ(trie.longest(other, "abcde", value), 1u);
  EXPECT_EQ(value, 4);
  for (const char* text : {"", "a", "ca"}) EXPECT_EQ(trie.longest(one, text, value), 0u) << text;
  EXPECT_EQ(trie.longest(none, "a", value), 0u);
}

TEST(ByteTrie, AgreesWithLookingEveryPrefixUp) {
  std::minstd_rand random(7);
  for (const size_t letters : {2, 20, 255}) {
    ByteTrie trie;
    std::array<std::map<std::string, int32_t>, 2> sets;
    std::array<ByteTrie::Root, 2> roots{};
    for (size_t set = 0; set < 2; ++set) {
      for (int32_t i = 0; i < 3000; ++i) sets[set].emplace(random_string(random, letters, 12), i);
      std::vector<ByteTrie::Entry> entries;
      for (const auto& [bytes, value] : sets[set]) entries.push_back({bytes, value});
      roots[set] = trie.add(std::move(entries));
    }
    for (int i = 0; i < 20000; ++i) {
      const std::string text = random_string(random, letters, 14);
      const size_t set = random() % 2;
      size_t length = text.size();
      while (length > 0 && !sets[set].contains(text.substr(0, length))) --length;
      int32_t value = -1;
      ASSERT_EQ(trie.longest(roots[set], text, value), length);
      ASSERT_EQ(value, length > 0 ? sets[set].at(text.substr(0, length)) : -1);
    }
  }
}

}  // namespace mpibert
