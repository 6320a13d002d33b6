#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "comm/mpi_communicator.h"

namespace mpibert {

// What make_communicator needs of comm/cuda/. A build without CUDA has them in no_nccl.cpp, which throws kDevice.
std::unique_ptr<Communicator> make_nccl_communicator(Backend& backend, std::unique_ptr<MpiCommunicator> host,
                                                     std::chrono::milliseconds timeout);
std::string card_of(const Backend& backend);  // the card's address on the bus of its host, by which NCCL tells cards apart

}  // namespace mpibert
