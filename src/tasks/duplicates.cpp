#include "tasks/duplicates.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "tasks/together.h"

namespace mpibert {

namespace {

constexpr uint64_t kParts = 16;  // of the documents, by their hash: so many times the ranks tell each other what they have

// Ordered by the hash, then by the place.
struct Place {
  DocumentHash hash;
  uint32_t unit = 0, document = 0;
  auto operator<=>(const Place&) const = default;
};

void read_unit(const CorpusUnit& unit, uint32_t number, const CorpusOptions& options, std::vector<Place>& places) {
  DocumentReader reader(unit, options);
  Document document;
  for (uint32_t i = 0; reader.next(document); ++i) places.push_back({.hash = hash_of(document), .unit = number, .document = i});
}

std::string bytes_of_part(const std::vector<Place>& places, uint64_t part) {
  std::string bytes;
  for (const Place& place : places)
    if (place.hash.high % kParts == part) bytes.append(reinterpret_cast<const char*>(&place), sizeof(Place));
  return bytes;
}

}  // namespace

std::vector<std::vector<int64_t>> find_duplicates(std::span<const CorpusUnit> units, const CorpusOptions& options, Exchange& exchange) {
  const auto ranks = static_cast<int64_t>(exchange.size()), rank = static_cast<int64_t>(exchange.rank()),
             all = static_cast<int64_t>(units.size());
  std::vector<std::vector<Place>> of_unit(units.size());
  together(exchange, [&] {
    for_each_in_parallel((all - rank + ranks - 1) / ranks, [&](int64_t i) {
      const auto unit = static_cast<size_t>(i * ranks + rank);
      read_unit(units[unit], static_cast<uint32_t>(unit), options, of_unit[unit]);
    });
  });
  std::vector<Place> mine;
  for (std::vector<Place>& places : of_unit) mine.insert(mine.end(), places.begin(), places.end());
  std::vector<std::vector<int64_t>> duplicates(units.size());
  for (uint64_t part = 0; part < kParts; ++part) {
    std::vector<Place> places;
    for (const std::string& bytes : exchange.all_gather(bytes_of_part(mine, part))) {
      const size_t before = places.size();
      places.resize(before + bytes.size() / sizeof(Place));
      std::memcpy(static_cast<void*>(places.data() + before), bytes.data(), bytes.size());
    }
    std::sort(places.begin(), places.end());
    for (size_t i = 1; i < places.size(); ++i)
      if (places[i].hash == places[i - 1].hash) duplicates[places[i].unit].push_back(places[i].document);
  }
  for (std::vector<int64_t>& documents : duplicates) std::sort(documents.begin(), documents.end());
  return duplicates;
}

}  // namespace mpibert
