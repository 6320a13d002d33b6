#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mpibert/comm/communicator.h"
#include "mpibert/data/batch_loader.h"
#include "mpibert/model/bert.h"
#include "mpibert/ops/host_cast.h"
#include "mpibert/tasks/question_answering.h"
#include "mpibert/tasks/task.h"

namespace mpibert {

// One split of a prepared data set.
struct DataSplit {
  std::filesystem::path folder;
  std::string name = "train";
};

struct EvaluatorOptions {
  int64_t micro_tokens = 8192;
  std::optional<Masker> masking{};  // of an unmasked pre-training set
  SampleRecipe samples{};           // of a token store
  QaScoring answers{};              // of question answering
};

// Runs the model over ranges of a data set, without dropout. The model must have been planned for batches of micro_tokens.
class Evaluator {
 public:
  Evaluator(Backend& backend, Communicator& comm, Model& model, EvaluatorOptions options);

  // Collective. Every sample once, dealt to the ranks in contiguous ranges; all ranks get the scores.
  //   sentence tasks: {"loss", mean cross-entropy, or mean squared error of a regression} and the task's metrics, computed on rank 0 from
  //     all logits
  //   question answering: {"loss", (start + end) / 2 of the features' first answers} and score_answers()
  //   pre-training:   {"loss", sum of the terms}, and "NAME_loss", "NAME_accuracy" of each term; "perplexity", exp(mlm_loss)
  Scores evaluate(const Task& task, const DataSplit& split);

  // Logits of samples begin .. end-1, in order of samples; not collective. For what the values are see Prediction.
  std::vector<Prediction> predict(const DataSplit& split, int64_t begin, int64_t end);
  // Collective. Logits of all samples of a split, dealt to the ranks and brought together: on rank 0 those of all in order of samples,
  // elsewhere none.
  std::vector<Prediction> predict_all(const DataSplit& split);

 private:
  Scores evaluate_sentences(const Task& task, const DataSplit& split);
  Scores evaluate_tokens(const Task& task, const DataSplit& split);
  Scores evaluate_answers(const Task& task, const DataSplit& split);
  Scores evaluate_pretraining(const DataSplit& split);
  EvaluationLoader loader(Dataset dataset, int64_t begin, int64_t end) const;
  Scores shared(const Scores& scores);  // rank 0's, on all ranks

  Backend& backend_;
  Communicator& comm_;
  Model& model_;
  EvaluatorOptions options_;
};

}  // namespace mpibert
