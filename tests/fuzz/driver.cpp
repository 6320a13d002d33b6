// usage: NAME_fuzz RUNS SEED_FILE...
// Gives RUNS inputs to a fuzz target: the files, then mutations of them, the same ones in every run of the program. What ends the program
// badly lies in NAME_fuzz.input.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

class Mutator {
 public:
  explicit Mutator(std::vector<Bytes> seeds) : seeds_(std::move(seeds)) {}

  Bytes next() {
    Bytes bytes = seeds_[below(seeds_.size())];
    for (size_t edits = 1 + below(4); edits > 0; --edits) edit(bytes);
    return bytes;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void edit(Bytes& bytes) {
    if (bytes.empty()) bytes.push_back(0);
    const size_t at = below(bytes.size()), length = std::min(1 + below(16), bytes.size() - at);
    switch (below(7)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        bytes[at] = static_cast<uint8_t>(random_());
        break;
      case 2:
        overwrite(bytes, at);
        break;
      case 3:
        bytes.erase(bytes.begin() + at, bytes.begin() + at + length);
        break;
      case 4:
        bytes.resize(at);
        break;
      case 5:
        std::copy_n(bytes.begin() + below(bytes.size() - length + 1), length, bytes.begin() + at);
        break;
      default: {  // a piece of another file
        const Bytes& other = seeds_[below(seeds_.size())];
        const size_t from = below(other.size()), count = std::min(1 + below(64), other.size() - from);
        bytes.insert(bytes.begin() + at, other.begin() + from, other.begin() + from + count);
      }
    }
  }

  // Numbers at which arithmetic breaks.
  void overwrite(Bytes& bytes, size_t at) {
    static constexpr std::array<uint64_t, 10> kNumbers = {
        0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffffff};
    const uint64_t number = kNumbers[below(kNumbers.size())];
    std::memcpy(bytes.data() + at, &number, std::min(size_t{1} << below(4), bytes.size() - at));
  }

  std::vector<Bytes> seeds_;
  std::mt19937_64 random_{20240607};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s RUNS SEED_FILE...\n", argv[0]);
    return 2;
  }
  std::vector<Bytes> seeds;
  for (int i = 2; i < argc; ++i) {
    std::ifstream in(argv[i], std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    if (seeds.back().empty()) {
      std::fprintf(stderr, "%s: nothing in %s\n", argv[0], argv[i]);
      return 2;
    }
    LLVMFuzzerTestOneInput(seeds.back().data(), seeds.back().size());
  }
  Mutator mutator(seeds);
  const std::string kept = std::string(argv[0]) + ".input";
  const int file = ::open(kept.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  for (long run = 0; run < std::stol(argv[1]); ++run) {
    const Bytes input = mutator.next();
    // Written before it is tried: a sanitizer ends the program without asking. Never closed in between: file systems wait for the disk when
    // a file that was cut short is closed.
    if (::ftruncate(file, 0) != 0 || ::pwrite(file, input.data(), input.size(), 0) != static_cast<ssize_t>(input.size())) {
      std::fprintf(stderr, "%s: cannot be written\n", kept.c_str());
      return 2;
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  ::close(file);
  std::remove(kept.c_str());
  std::printf("%s inputs\n", argv[1]);
  return 0;
}
