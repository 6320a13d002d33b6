#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "mpibert/data/corpus.h"
#include "mpibert/data/dataset.h"
#include "mpibert/data/masking.h"
#include "mpibert/tasks/question_answering.h"
#include "mpibert/tasks/task.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert {

// How the ranks of one preparation tell each other what they made; the program adapts its communicator to this.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::vector<std::string> all_gather(const std::string& mine) = 0;  // every rank's, in order of rank
  // The same on rank 0, elsewhere nothing.
  virtual std::vector<std::string> gather(const std::string& mine) {
    return rank() == 0 ? all_gather(mine) : (all_gather(mine), std::vector<std::string>());
  }
};
// A job of one rank.
class NoExchange : public Exchange {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::vector<std::string> all_gather(const std::string& mine) override { return {mine}; }
};

struct PrepareInput {
  std::string split;  // "train", "dev", "test"; of a sentence task empty: all splits found in the folder. Of pre-training empty: "train"
  std::vector<std::filesystem::path> paths;  // files or folders; of a sentence task one
};

struct PrepareOptions {
  Task task = make_task("pretraining");  // labels of a task of the user's own may be left to be found in the training split
  std::vector<PrepareInput> inputs{};
  std::filesystem::path output{};  // a folder; made if it is not there
  bool overwrite = false;          // replace a data set that is there
  int64_t max_seq_length = 128;
  uint64_t seed = 12345;
  int64_t shard_samples = 65536;                      // most samples of a shard
  Truncation truncation = Truncation::kLongestFirst;  // of sentence tasks

  QaOptions qa{};  // of question answering; its max_seq_length is the one above

  // Pre-training.
  CorpusOptions corpus{};                   // how text is read
  int64_t block_bytes = int64_t{32} << 20;  // of input that makes a unit, which one rank works on; of a token store a shard
  Storage storage = Storage::kSamples;      // kTokens: the documents as tokens, of which readers make samples; kSamples: the samples of
                                            // dupe_factor epochs as they would be made
  bool drop_duplicates = false;             // of a split: documents that equal one before them, sentence by sentence, wherever it is
  double short_seq_prob = 0.1;
  int64_t dupe_factor = 1;      // epochs of samples, at most 255
  bool static_masking = false;  // false: the loader masks, anew in each epoch
  MaskingOptions masking{};     // of static masking
  bool python_random = false;   // instances of the reference script bit for bit, in memory on one rank: data/google_instances.h
};

// Raw text into a prepared data set (data/dataset.h). Collective: all ranks call it with equal options and see one file system. The work is
// cut into units by the input alone, a rank takes the next that no other has taken, each is worked on by all threads of the rank; so the
// files are the same, byte for byte, for any number of ranks and threads. What was finished when a preparation was killed is kept: the same
// call goes on from there to the same bytes, and does nothing where nothing is left to do. An error on one rank is thrown on all. Memory:
// some 16 MiB of text at a time and the tokens of one shard; of labelled tasks their raw files. Returns the manifest, which rank 0 writes
// last; beside a token store also summary.json (corpus_summary.h). Throws kInvalidArgument, kNotFound, kCorrupt, kIo; kBusy if the output
// holds another data set and overwrite is not set.
Manifest prepare(const PrepareOptions& options, const BertTokenizer& tokenizer, Exchange& exchange);

// Reads every byte of a data set and checks all that can be checked of it; the shards are dealt to the ranks. Collective. Throws as
// Dataset, on all ranks.
Manifest check_dataset(const std::filesystem::path& folder, Exchange& exchange);

}  // namespace mpibert
