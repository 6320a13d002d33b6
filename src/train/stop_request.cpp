#include "mpibert/train/stop_request.h"

#include <array>
#include <csignal>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr std::array<int, 4> kSignals = {SIGTERM, SIGUSR1, SIGUSR2, SIGINT};
volatile std::sig_atomic_t first_signal = 0;
std::array<struct sigaction, kSignals.size()> former;
bool installed = false;

void remember(int signal) {
  if (first_signal == 0) first_signal = signal;
}

}  // namespace

StopRequest::StopRequest() {
  MPIBERT_ASSERT(!installed);
  installed = true;
  first_signal = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // the second of a kind meets the default action
  for (size_t i = 0; i < kSignals.size(); ++i) MPIBERT_ASSERT(sigaction(kSignals[i], &action, &former[i]) == 0);
}

StopRequest::~StopRequest() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &former[i], nullptr);
  installed = false;
}

int StopRequest::signal() const { return first_signal; }

std::string_view signal_name(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    case SIGINT:
      return "SIGINT";
    default:
      return "no signal";
  }
}

}  // namespace mpibert
