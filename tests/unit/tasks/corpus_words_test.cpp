#include "mpibert/tasks/corpus_words.h"

#include <omp.h>

#include <map>
#include <thread>

#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/unit/tasks/thread_exchange.h"

namespace mpibert {

using namespace test;

namespace {

using Words = std::map<std::string, int64_t>;

// The counts that each rank gets, of so many ranks of so many threads.
std::vector<Words> count_on(int ranks, int threads_of_rank, const CorpusWordsOptions& options) {
  ThreadExchange::Meeting meeting(ranks);
  std::vector<Words> all(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(threads_of_rank);
      ThreadExchange exchange(meeting, rank);
      count_corpus_words(options, exchange).for_each([&](std::string_view word, int64_t count) {
        all[static_cast<size_t>(rank)].emplace(word, count);
      });
    });
  for (std::thread& thread : threads) thread.join();
  return all;
}

// Line i holds "all", "Of" as often as i % 3 says, and a word of its own.
void write_lines(const std::filesystem::path& path, int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i)
    text += "All" + std::string(i % 3 == 0 ? "" : i % 3 == 1 ? " Of" : " Of of") + " w" + std::to_string(i) + ".\n";
  write_text(path, text);
}

}  // namespace

TEST(CorpusWords, AreTheSameForAnyNumberOfRanksAndThreads) {
  const TemporaryFolder folder;
  write_lines(folder / "a.txt", 3000);
  write_lines(folder / "b.txt", 30);
  const CorpusWordsOptions options{.inputs = {folder.path()}, .corpus = {.format = CorpusFormat::kLines}, .block_bytes = 4096};
  Words expected = {{"all", 3030}, {"of", 3030}, {".", 3030}};
  for (int i = 0; i < 3000; ++i) expected["w" + std::to_string(i)] = i < 30 ? 2 : 1;
  for (const auto& [ranks, threads] : {std::pair{1, 1}, {1, 3}, {2, 1}, {3, 2}, {5, 1}}) {
    const std::vector<Words> counted = count_on(ranks, threads, options);
    EXPECT_EQ(counted[0], expected) << ranks << " ranks of " << threads << " threads";
    for (size_t rank = 1; rank < counted.size(); ++rank) EXPECT_TRUE(counted[rank].empty());
  }
}

TEST(CorpusWords, RefuseACorpusWithoutAWord) {
  const TemporaryFolder folder;
  write_text(folder / "empty.txt", "\n \n");
  NoExchange exchange;
  expect_error(ErrorKind::kInvalidArgument, {"no word in the input"},
               [&] { count_corpus_words({.inputs = {folder / "empty.txt"}}, exchange); });
  expect_error(ErrorKind::kNotFound, {"absent.txt"}, [&] { count_corpus_words({.inputs = {folder / "absent.txt"}}, exchange); });
}

}  // namespace mpibert
