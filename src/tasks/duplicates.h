#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mpibert/data/corpus.h"
#include "mpibert/tasks/prepare.h"

namespace mpibert {

// Of each unit the documents, by number and ascending, that equal one before them in the units, sentence by sentence. Collective; a
// function of the text alone, the same on every rank. Reads all text once, unit u on rank u mod R; memory grows by 24 bytes for each
// document of a rank.
std::vector<std::vector<int64_t>> find_duplicates(std::span<const CorpusUnit> units, const CorpusOptions& options, Exchange& exchange);

}  // namespace mpibert
