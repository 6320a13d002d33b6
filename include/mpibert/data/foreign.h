#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "mpibert/data/schema.h"

namespace mpibert {

// Files of masked pre-training samples of other programs. Every sample has input_ids, segment_ids (our token_type_ids),
// masked_lm_positions, masked_lm_ids and one next_sentence_labels (1: b is from another document). L: tokens a row is padded to, P:
// predictions a row is padded to, both with 0.
//   tfrecord         TFRecord of tf.train.Example, int64 lists: input_ids, input_mask, segment_ids [L], masked_lm_positions, masked_lm_ids
//                    [P], next_sentence_labels [1]; float list masked_lm_weights [P], 1 for a prediction. Source: google-research/bert,
//                    create_pretraining_data.py; core/lib/io/record_writer.cc of TensorFlow
//   nvidia           HDF5: input_ids [n, L] int32, input_mask, segment_ids [n, L] int8, masked_lm_positions, masked_lm_ids [n, P] int32,
//                    next_sentence_labels [n] int8, gzip. The first 0 in masked_lm_positions ends the predictions: [CLS] is never masked.
//                    Source: NVIDIA/DeepLearningExamples, PyTorch/LanguageModeling/BERT
//   mlperf           the same with int16 in the place of int32, not packed. Source: mlcommons/training_results, BERT of NVIDIA,
//                    input_preprocessing
//   mlperf-varlength HDF5: input_ids, masked_lm_positions, masked_lm_ids [n] of rows of int16 of variable length, segment_ids of int8;
//     next_sentence_labels [n] int8; no input_mask, no padding
//   mlperf-packed    as mlperf-varlength, with up to 3 sequences in a row, end to end: packed_input_len and packed_masked_lm_len [n] of
//                    rows of int16 say how long each is, next_sentence_labels has one value for each, masked_lm_positions count from the
//                    start of the row. Read only, as the sequences they are made of
enum class ForeignFormat : uint8_t { kTfRecord, kNvidia, kMlperf, kMlperfVarlength, kMlperfPacked };
ForeignFormat foreign_format_from_name(std::string_view name);  // throws kUsage on another
std::string_view name_of(ForeignFormat format);

// input_ids, token_type_ids and these labels are what a sample of such a file has.
Schema foreign_labels();

// What rows are padded to; 0 where they are not.
struct RowWidths {
  int64_t max_seq_length = 0;           // L
  int64_t max_predictions_per_seq = 0;  // P
};

// One file, sample by sample, in bounded memory. Masks are kept as they are stored. Everything a file says is checked before it is used:
// kCorrupt with the file, the row, the dataset, what was expected and found. So is a file that was cut off; but a TFRecord that ends
// between two records is one of fewer samples.
class ForeignReader {
 public:
  virtual ~ForeignReader() = default;
  virtual ForeignFormat format() const = 0;
  virtual RowWidths widths() const = 0;
  virtual bool next(Sample& sample) = 0;  // false at the end; ids count from 0
};

// Finds out by its first bytes, and an HDF5 file's datasets, of which format it is. Ids have to be below vocabulary_size. Throws kNotFound,
// kPermission, kCorrupt; kInvalidArgument for Parquet (lddl's), which this program does not read.
std::unique_ptr<ForeignReader> open_foreign(const std::filesystem::path& path, int64_t vocabulary_size);

// Collects the samples of one file and writes them with commit(): path.tmp, sync, rename. Without commit() nothing appears. (A TFRecord is
// written as samples come.) The bytes are a function of the samples.
class ForeignWriter {
 public:
  virtual ~ForeignWriter() = default;
  // Throws kInvalidArgument for a sample without masks or next-sentence label, or of more tokens or predictions than the widths, or with a
  // number that the format cannot hold.
  virtual void add(const Sample& sample) = 0;
  virtual void commit() = 0;
};

// The widths are not used by mlperf-varlength. Throws kInvalidArgument for mlperf-packed, and for a vocabulary whose ids int16 cannot hold,
// in mlperf and mlperf-varlength.
std::unique_ptr<ForeignWriter> make_foreign_writer(ForeignFormat format, const std::filesystem::path& path, RowWidths widths,
                                                   int64_t vocabulary_size);

}  // namespace mpibert
