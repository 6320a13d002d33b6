#pragma once

#include <memory>

#include "mpibert/data/foreign.h"

namespace mpibert {

// The readers and writers of each kind of file; see data/foreign.h.
std::unique_ptr<ForeignReader> open_tfrecord(const std::filesystem::path& path, int64_t vocabulary_size);
std::unique_ptr<ForeignReader> open_hdf5_samples(const std::filesystem::path& path, int64_t vocabulary_size);
std::unique_ptr<ForeignWriter> make_tfrecord_writer(const std::filesystem::path& path, RowWidths widths);
std::unique_ptr<ForeignWriter> make_hdf5_writer(ForeignFormat format, const std::filesystem::path& path, RowWidths widths);

}  // namespace mpibert
