#include "apps/declarations.h"

namespace mpibert::apps {

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {.name = "prepare", .help = "turns raw text or labelled files into shards", .uses_mpi = true, .declare = declare_prepare},
      {.name = "vocab", .help = "trains a WordPiece vocabulary on raw text", .uses_mpi = true, .declare = declare_vocab},
      {.name = "pretrain", .help = "trains masked-LM and next-sentence prediction", .uses_mpi = true, .declare = declare_pretrain},
      {.name = "finetune", .help = "trains a model on a labelled task", .uses_mpi = true, .declare = declare_finetune},
      {.name = "evaluate", .help = "scores a model on a task; one JSON object", .uses_mpi = true, .declare = declare_evaluate},
      {.name = "predict",
       .help = "what a model says of texts, as transformers' pipelines; one JSON value a line",
       .uses_mpi = true,
       .declare = declare_predict},
      {.name = "tokenize", .help = "token ids of texts; one JSON object a line", .positional = "input", .declare = declare_tokenize},
      {.name = "checkpoint", .help = "ls, verify, digest or diff of checkpoints", .positional = "arguments", .declare = declare_checkpoint},
      {.name = "convert", .help = "a model folder in another format", .declare = declare_convert},
      {.name = "shards", .help = "data sets to and from TFRecord, NVIDIA's and MLPerf's HDF5", .uses_mpi = true, .declare = declare_shards},
      {.name = "config", .help = "show or check the settings that a command would run with", .declare = declare_config},
      {.name = "doctor", .help = "what this machine has, and what is wrong with it", .declare = declare_doctor},
      {.name = "plan", .help = "memory and work of a training before it is started", .declare = declare_plan},
      {.name = "bench",
       .help = "step or matmul: how fast this machine is",
       .positional = "arguments",
       .uses_mpi = true,
       .declare = declare_bench},
      {.name = "version", .help = "versions of this program and its libraries", .declare = declare_version},
  };
  return all;
}

}  // namespace mpibert::apps
