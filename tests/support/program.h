#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace mpibert::test {

struct Finished {
  int code = 0;  // exit code, or 128 + signal
  std::string out, err;
  double seconds = 0;
};

struct Launch {
  int ranks = 1;  // more than 1, or mpirun: under mpirun
  int threads = 1;
  std::vector<std::string> environment{};  // "NAME=value"
  std::string input{};                     // standard input
  std::string wrapper{};                   // a shell prefix of every rank, such as "ulimit -f 100;"
  std::filesystem::path program{};         // another than mpibert as it is built here
};

// The program under test, running. It is killed if the test ends before it does.
class Program {
 public:
  Program(const std::vector<std::string>& arguments, const Launch& launch = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Process of a rank, found by what mpirun tells it; waits until it is there. -1 if the program ended before.
  pid_t pid_of_rank(int rank) const;
  pid_t pid() const { return pid_; }
  bool running();
  // Waits until `text` stands in what it wrote to stderr or the program ends; says whether it does.
  bool wait_for(const std::string& text, std::chrono::seconds limit = std::chrono::seconds(60));
  Finished wait();  // to its end

 private:
  pid_t pid_ = -1;
  std::filesystem::path folder_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int status_ = 0;
  bool ended_ = false;
};

// Runs the program to its end.
Finished run_program(const std::vector<std::string>& arguments, const Launch& launch = {});

// Paths of the project's own samples and program.
std::filesystem::path sample();   // datasets/sample
std::filesystem::path program();  // the built program

}  // namespace mpibert::test
