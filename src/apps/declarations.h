#pragma once

#include "apps/command.h"

namespace mpibert::apps {

// What declares each command (see Command::declare), one a file.
std::function<int()> declare_prepare(Options& options);
std::function<int()> declare_vocab(Options& options);
std::function<int()> declare_pretrain(Options& options);
std::function<int()> declare_finetune(Options& options);
std::function<int()> declare_evaluate(Options& options);
std::function<int()> declare_predict(Options& options);
std::function<int()> declare_tokenize(Options& options);
std::function<int()> declare_checkpoint(Options& options);
std::function<int()> declare_convert(Options& options);
std::function<int()> declare_shards(Options& options);
std::function<int()> declare_config(Options& options);
std::function<int()> declare_doctor(Options& options);
std::function<int()> declare_plan(Options& options);
std::function<int()> declare_bench(Options& options);
std::function<int()> declare_version(Options& options);

}  // namespace mpibert::apps
