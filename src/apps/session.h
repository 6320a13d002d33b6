#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "mpibert/base/options.h"
#include "mpibert/comm/communicator.h"
#include "mpibert/tasks/prepare.h"

namespace mpibert::apps {

// The device and the ranks a command works with.
struct Session {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> comm;
};

struct SessionFlags {
  std::string device = "cpu", comm = "auto", attention = "native", config;
  bool tf32 = false;
  int64_t timeout_seconds = 600;

  void declare(Options& options);
  Session open() const;
};

// What --precision NAME means on a device. Throws kUsage where the device does not compute in it.
DType precision_on(Device device, const std::string& name);

// What --device NAME means to a rank: a host's ranks take its cards in turn.
Device device_of_rank(const std::string& name, int local_rank);

// The communicator as prepare() wants it.
class RankExchange : public Exchange {
 public:
  explicit RankExchange(Communicator& comm) : comm_(comm) {}
  int rank() const override { return comm_.rank(); }
  int size() const override { return comm_.size(); }
  std::vector<std::string> all_gather(const std::string& mine) override;
  std::vector<std::string> gather(const std::string& mine) override;

 private:
  Communicator& comm_;
};

// Floating-point operations a second of a large matrix product of this precision, over all ranks at once; what MFU is a share of. About 0.2
// s.
double measured_peak_flops(Backend& backend, Communicator& comm, DType compute);

}  // namespace mpibert::apps
