#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "mpibert/base/error.h"
#include "tests/support/files.h"

namespace mpibert::test {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_line(const std::vector<std::string>& arguments, const Launch& launch) {
  std::string words = quoted((launch.program.empty() ? program() : launch.program).string());
  for (const std::string& argument : arguments) words += " " + quoted(argument);
  if (!launch.wrapper.empty()) words = "bash -c " + quoted(launch.wrapper + " exec " + words);
  if (launch.ranks > 1) words = str_cat("mpirun -n ", launch.ranks, " --oversubscribe --bind-to none ", words);
  return "exec " + words;
}

std::vector<pid_t> processes() {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc"))
    if (const int pid = std::atoi(entry.path().filename().c_str()); pid > 0) found.push_back(pid);
  return found;
}

// NAME=value in the environment of another process.
bool has_environment(pid_t pid, const std::string& assignment) {
  std::ifstream in(str_cat("/proc/", pid, "/environ"), std::ios::binary);
  for (std::string entry; std::getline(in, entry, '\0');)
    if (entry == assignment) return true;
  return false;
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments, const Launch& launch) {
  std::string name = (std::filesystem::temp_directory_path() / "mpibert-program-XXXXXX").string();
  MPIBERT_CHECK(::mkdtemp(name.data()) != nullptr, kIo, "cannot make ", name);
  folder_ = name;
  write_text(folder_ / "in", launch.input);
  const std::string command = command_line(arguments, launch);
  pid_ = ::fork();
  MPIBERT_CHECK(pid_ >= 0, kIo, "cannot fork");
  if (pid_ > 0) return;
  ::setpgid(0, 0);
  for (const char* fixed : {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "OMPI_MCA_mpi_yield_when_idle=1",
                            "OMPI_MCA_rmaps_base_oversubscribe=1"})
    ::putenv(const_cast<char*>(fixed));
  ::setenv("OMP_NUM_THREADS", std::to_string(launch.threads).c_str(), 1);
  ::setenv("MPIBERT_TEST_RUN", folder_.c_str(), 1);
  for (const std::string& assignment : launch.environment) ::putenv(const_cast<char*>(assignment.c_str()));
  ::dup2(::open((folder_ / "in").c_str(), O_RDONLY), 0);
  ::dup2(::open((folder_ / "out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
  ::dup2(::open((folder_ / "err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
  ::execl("/bin/bash", "bash", "-c", command.c_str(), nullptr);
  ::_exit(127);
}

Program::~Program() {
  if (running()) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  for (const pid_t pid : processes())
    if (has_environment(pid, "MPIBERT_TEST_RUN=" + folder_.string())) ::kill(pid, SIGKILL);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool Program::running() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

pid_t Program::pid_of_rank(int rank) const {
  const std::string mine = "MPIBERT_TEST_RUN=" + folder_.string(), numbered = str_cat("OMPI_COMM_WORLD_RANK=", rank);
  while (const_cast<Program*>(this)->running()) {
    for (const pid_t pid : processes())
      if (has_environment(pid, mine) && has_environment(pid, numbered)) return pid;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return -1;
}

bool Program::wait_for(const std::string& text, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    const bool alive = running();
    if (std::filesystem::exists(folder_ / "err") && read_text(folder_ / "err").find(text) != std::string::npos) return true;
    if (!alive) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

Finished Program::wait() {
  if (!ended_) ::waitpid(pid_, &status_, 0);
  ended_ = true;
  Finished finished;
  finished.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  finished.out = read_text(folder_ / "out");
  finished.err = read_text(folder_ / "err");
  finished.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  return finished;
}

Finished run_program(const std::vector<std::string>& arguments, const Launch& launch) { return Program(arguments, launch).wait(); }

std::filesystem::path sample() { return source_folder() / "datasets" / "sample"; }
std::filesystem::path program() { return std::filesystem::path(MPIBERT_BINARY_DIR) / "mpibert"; }

}  // namespace mpibert::test
