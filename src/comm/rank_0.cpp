#include "comm/rank_0.h"

#include "mpibert/base/error.h"

namespace mpibert {

std::string from_rank_0(Communicator& comm, std::string_view what, const std::function<std::string()>& make) {
  constexpr char kGood = 0;  // then the result; else 1 + the error's kind, then its message
  std::string mine;
  if (comm.rank() == 0) {
    try {
      mine = kGood + make();
    } catch (const Error& error) {
      mine = static_cast<char>(1 + static_cast<int>(error.kind())) + std::string(error.what());
    }
  }
  const auto all = comm.all_gather_bytes(std::as_bytes(std::span(mine)), what);
  const std::string text(reinterpret_cast<const char*>(all[0].data()), all[0].size());
  if (text.front() != kGood) throw Error(static_cast<ErrorKind>(text.front() - 1), text.substr(1));
  return text.substr(1);
}

void on_rank_0(Communicator& comm, std::string_view what, const std::function<void()>& body) {
  from_rank_0(comm, what, [&] {
    body();
    return std::string();
  });
}

}  // namespace mpibert
