#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mpibert {

// A card, for people.
struct CardDescription {
  std::string name{};  // "NVIDIA H200"
  int capability_major = 0, capability_minor = 0, multiprocessors = 0;
  size_t memory_bytes = 0, free_bytes = 0;
  std::string problem{};  // why this program cannot compute on it; empty if it can
};

// Those that device_count(DeviceType::kCuda) counts, by index. Asking takes a little of each card's memory until the program ends.
std::vector<CardDescription> describe_cards();

}  // namespace mpibert
