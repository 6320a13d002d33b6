#include "mpibert/data/foreign.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/input_file.h"
#include "data/foreign/make.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"tfrecord", "nvidia", "mlperf", "mlperf-varlength",
                                                    "mlperf-packed"};  // by the value of ForeignFormat
constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n", kParquetSignature = "PAR1", kGzipSignature = "\x1f\x8b";

}  // namespace

ForeignFormat foreign_format_from_name(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  MPIBERT_CHECK(found != kNames.end(), kUsage, "unknown format of samples '", name,
                "'; there are tfrecord, nvidia, mlperf, mlperf-varlength and mlperf-packed");
  return static_cast<ForeignFormat>(found - kNames.begin());
}

std::string_view name_of(ForeignFormat format) { return kNames[static_cast<size_t>(format)]; }

std::unique_ptr<ForeignReader> open_foreign(const std::filesystem::path& path, int64_t vocabulary_size) {
  const InputFile file(path);
  const std::string start = file.read_text(0, std::min<uint64_t>(file.size(), kHdf5Signature.size()));
  MPIBERT_CHECK(!start.empty(), kCorrupt, path.string(), " is empty; expected a TFRecord or an HDF5 file");
  MPIBERT_CHECK(!start.starts_with(kParquetSignature), kInvalidArgument, path.string(),
                " is a Parquet file, as lddl makes them; this program reads no Parquet. Convert it to TFRecord or HDF5 with pyarrow, or "
                "prepare the text itself: mpibert prepare");
  MPIBERT_CHECK(!start.starts_with(kGzipSignature), kInvalidArgument, path.string(), " is packed with gzip; unpack it first: gzip -d");
  return start.starts_with(kHdf5Signature) ? open_hdf5_samples(path, vocabulary_size) : open_tfrecord(path, vocabulary_size);
}

std::unique_ptr<ForeignWriter> make_foreign_writer(ForeignFormat format, const std::filesystem::path& path, RowWidths widths,
                                                   int64_t vocabulary_size) {
  const bool is_narrow = format == ForeignFormat::kMlperf || format == ForeignFormat::kMlperfVarlength;
  constexpr int64_t kMostIds = int64_t{std::numeric_limits<int16_t>::max()} + 1;
  MPIBERT_CHECK(!is_narrow || vocabulary_size <= kMostIds, kInvalidArgument, "format ", name_of(format),
                " keeps token ids as int16, up to ", kMostIds - 1, "; the vocabulary has ", vocabulary_size, " tokens, ids up to ",
                vocabulary_size - 1, ": choose nvidia or tfrecord");
  const bool is_padded = format != ForeignFormat::kMlperfVarlength;
  constexpr int64_t kMostColumns = std::numeric_limits<int16_t>::max();
  MPIBERT_CHECK(!is_padded || (widths.max_seq_length > 0 && widths.max_seq_length <= kMostColumns && widths.max_predictions_per_seq > 0 &&
                               widths.max_predictions_per_seq <= kMostColumns),
                kInvalidArgument, "format ", name_of(format), " pads rows to ", widths.max_seq_length, " tokens and ",
                widths.max_predictions_per_seq, " predictions; expected 1 to ", kMostColumns);
  switch (format) {
    case ForeignFormat::kTfRecord:
      return make_tfrecord_writer(path, widths);
    case ForeignFormat::kNvidia:
    case ForeignFormat::kMlperf:
    case ForeignFormat::kMlperfVarlength:
      return make_hdf5_writer(format, path, widths);
    case ForeignFormat::kMlperfPacked:
      break;
  }
  throw Error(ErrorKind::kInvalidArgument, "packed samples are read, not written; choose mlperf-varlength");
}

}  // namespace mpibert
