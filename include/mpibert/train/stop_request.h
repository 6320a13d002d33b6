#pragma once

#include <string_view>

namespace mpibert {

// Turns SIGTERM, SIGUSR1, SIGUSR2 and SIGINT into a request that a training loop reads between two steps. The handler only sets a flag; the
// second signal of a kind ends the process at once, by that signal.
class StopRequest {
 public:
  StopRequest();   // installs the handlers; one object at a time
  ~StopRequest();  // puts the former ones back
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  int signal() const;  // the first signal that came, or 0
};

std::string_view signal_name(int signal);  // "SIGTERM"

}  // namespace mpibert
