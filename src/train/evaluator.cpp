#include "mpibert/train/evaluator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "mpibert/base/error.h"
#include "mpibert/tasks/entities.h"

namespace mpibert {

namespace {

std::vector<Sample> all_samples(const Dataset& dataset) {
  std::vector<int64_t> ids(static_cast<size_t>(dataset.size()));
  std::iota(ids.begin(), ids.end(), 0);
  return dataset.read(ids);
}

// Of logits [length, 2].
double answer_loss(const std::vector<float>& logits, const Sample& sample) {
  std::vector<float> starts, ends;
  for (size_t i = 0; i + 1 < logits.size(); i += 2) {
    starts.push_back(logits[i]);
    ends.push_back(logits[i + 1]);
  }
  return (negative_log_likelihood(starts, sample.label("start_positions").at(0)) +
          negative_log_likelihood(ends, sample.label("end_positions").at(0))) /
         2;
}

double mean_cross_entropy(std::span<const Prediction> predictions, std::span<const int32_t> labels) {
  double sum = 0;
  for (size_t i = 0; i < predictions.size(); ++i) sum += negative_log_likelihood(predictions[i].values, labels[i]);
  return sum / static_cast<double>(std::max<size_t>(1, predictions.size()));
}

double mean_squared_error(std::span<const Prediction> predictions, std::span<const int32_t> labels) {
  double sum = 0;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const double error = static_cast<double>(predictions[i].values[0]) - static_cast<double>(std::bit_cast<float>(labels[i]));
    sum += error * error;
  }
  return sum / static_cast<double>(std::max<size_t>(1, predictions.size()));
}

}  // namespace

Evaluator::Evaluator(Backend& backend, Communicator& comm, Model& model, EvaluatorOptions options)
    : backend_(backend), comm_(comm), model_(model), options_(std::move(options)) {}

EvaluationLoader Evaluator::loader(Dataset dataset, int64_t begin, int64_t end) const {
  const BertConfig& config = model_.config();
  return EvaluationLoader(std::move(dataset), {.begin = begin,
                                               .end = end,
                                               .micro_tokens = options_.micro_tokens,
                                               .max_position_embeddings = config.max_position_embeddings,
                                               .vocab_size = config.vocab_size,
                                               .masking = options_.masking});
}

std::vector<Prediction> Evaluator::predict(const DataSplit& split, int64_t begin, int64_t end) {
  const bool per_token = model_.head().terms()[0].per == Per::kToken;
  std::vector<Prediction> predictions;
  EvaluationLoader batches = loader(Dataset(split.folder, split.name), begin, end);
  while (const std::optional<Batch> batch = batches.next()) {
    model_.put(backend_, *batch);
    model_.forward(backend_, {.train = false});
    const Tensor logits = model_.logits(0);
    const std::vector<float> values = host_floats(backend_, logits);
    const auto classes = static_cast<ptrdiff_t>(logits.shape()[-1]);
    const auto first_tokens = (*batch)["cu_seqlens"].span<int32_t>();
    const ptrdiff_t choices = batch->choices();
    for (size_t i = 0; i < batch->sample_ids().size(); ++i) {  // of a head with a row a token, those of the sequence's tokens
      const ptrdiff_t begin_row = per_token ? first_tokens[i] : static_cast<ptrdiff_t>(i) * choices,
                      end_row = per_token ? first_tokens[i + 1] : begin_row + choices;
      predictions.push_back({batch->sample_ids()[i], {values.begin() + begin_row * classes, values.begin() + end_row * classes}});
    }
  }
  std::sort(predictions.begin(), predictions.end(), [](const Prediction& a, const Prediction& b) { return a.sample < b.sample; });
  return predictions;
}

std::vector<Prediction> Evaluator::predict_all(const DataSplit& split) {
  const int64_t samples = Dataset(split.folder, split.name).size();
  const auto [begin, end] = evaluation_range(samples, comm_.rank(), comm_.size());
  const std::vector<Prediction> mine = predict(split, begin, end);
  std::vector<int64_t> sizes;
  std::vector<float> values;
  for (const Prediction& prediction : mine) {
    sizes.push_back(static_cast<int64_t>(prediction.values.size()));
    values.insert(values.end(), prediction.values.begin(), prediction.values.end());
  }
  const auto all_sizes = comm_.gather_bytes(std::as_bytes(std::span(sizes)), 0, "sizes of predictions");
  const auto all_values = comm_.gather_bytes(std::as_bytes(std::span(values)), 0, "predictions");
  std::vector<Prediction> all;
  for (size_t rank = 0; rank < all_sizes.size(); ++rank) {
    sizes.resize(all_sizes[rank].size() / sizeof(int64_t));
    std::memcpy(sizes.data(), all_sizes[rank].data(), all_sizes[rank].size());
    const std::byte* from = all_values[rank].data();
    for (const int64_t size : sizes) {
      Prediction& prediction =
          all.emplace_back(Prediction{static_cast<int64_t>(all.size()), std::vector<float>(static_cast<size_t>(size))});
      std::memcpy(prediction.values.data(), from, prediction.values.size() * sizeof(float));
      from += prediction.values.size() * sizeof(float);
    }
  }
  return all;
}

Scores Evaluator::evaluate(const Task& task, const DataSplit& split) {
  switch (task.kind) {
    case TaskKind::kPretraining:
      return evaluate_pretraining(split);
    case TaskKind::kTokenClassification:
      return evaluate_tokens(task, split);
    case TaskKind::kQuestionAnswering:
      return evaluate_answers(task, split);
    case TaskKind::kClassification:
    case TaskKind::kMultipleChoice:
    case TaskKind::kRegression:
      return evaluate_sentences(task, split);
  }
  throw std::logic_error("unknown kind of task");
}

Scores Evaluator::evaluate_sentences(const Task& task, const DataSplit& split) {
  const Dataset dataset(split.folder, split.name);
  MPIBERT_CHECK(has_field(dataset.labels(), "labels"), kInvalidArgument, "split '", split.name, "' of ", split.folder.string(),
                " has no labels to score with; use predict");
  const std::vector<Prediction> predictions = predict_all(split);
  Scores scores;
  if (comm_.rank() == 0) {
    std::vector<int32_t> labels;
    for (const Sample& sample : all_samples(dataset)) labels.push_back(sample.label("labels").at(0));
    scores = score(task, predictions, labels);
    scores.insert(scores.begin(), {"loss", task.kind == TaskKind::kRegression ? mean_squared_error(predictions, labels)
                                                                              : mean_cross_entropy(predictions, labels)});
  }
  return shared(scores);
}

Scores Evaluator::evaluate_answers(const Task& task, const DataSplit& split) {
  const Dataset dataset(split.folder, split.name);
  MPIBERT_CHECK(!dataset.labels().empty(), kInvalidArgument, "split '", split.name, "' of ", split.folder.string(),
                " has no answers to score with; use predict");
  const std::vector<Prediction> logits = predict_all(split);
  Scores scores;
  if (comm_.rank() == 0) {
    const BertTokenizer tokenizer = BertTokenizer::from_model(split.folder);
    const QaSplit questions = open_qa_split(tokenizer, split.folder, split.name);
    scores = score_answers(task, questions, predict_answers(task, tokenizer, questions, logits, options_.answers));
    double loss = 0;
    for (const Sample& sample : all_samples(dataset)) loss += answer_loss(logits[static_cast<size_t>(sample.id)].values, sample);
    scores.insert(scores.begin(), {"loss", loss / static_cast<double>(logits.size())});
  }
  return shared(scores);
}

Scores Evaluator::evaluate_tokens(const Task& task, const DataSplit& split) {
  const Dataset dataset(split.folder, split.name);
  MPIBERT_CHECK(!dataset.labels().empty(), kInvalidArgument, "split '", split.name, "' of ", split.folder.string(),
                " has no labels to score with; use predict");
  const std::vector<Prediction> predictions = predict_all(split);
  return shared(comm_.rank() == 0 ? score_tokens(task, predictions, all_samples(dataset)) : Scores{});
}

Scores Evaluator::evaluate_pretraining(const DataSplit& split) {
  const std::vector<LossTerm> terms = model_.head().terms();
  const auto count = static_cast<int64_t>(terms.size());
  Buffer memory = backend_.allocate(static_cast<size_t>(2 * count) * sizeof(float));
  const Tensor sums = memory.view(DType::kFloat32, {count}),
               correct = memory.view(DType::kFloat32, {count}, static_cast<size_t>(count) * sizeof(float));
  std::vector<double> totals(static_cast<size_t>(3 * count), 0.0);  // losses, right answers, labels

  Dataset dataset(split.folder, split.name, false, options_.samples);
  const auto [begin, end] = evaluation_range(dataset.size(), comm_.rank(), comm_.size());
  EvaluationLoader batches = loader(std::move(dataset), begin, end);
  while (const std::optional<Batch> batch = batches.next()) {
    backend_.zero(sums);
    backend_.zero(correct);
    model_.put(backend_, *batch);
    model_.forward(backend_, {.train = false, .loss_sums = sums, .correct = correct});
    const std::vector<float> batch_sums = host_floats(backend_, sums), batch_correct = host_floats(backend_, correct);
    const std::vector<int64_t> labels = model_.head().count(*batch);
    for (size_t i = 0; i < terms.size(); ++i) {
      totals[i] += static_cast<double>(batch_sums[i]);
      totals[terms.size() + i] += static_cast<double>(batch_correct[i]);
      totals[2 * terms.size() + i] += static_cast<double>(labels[i]);
    }
  }
  comm_.all_reduce(totals, ReduceOp::kSum, "evaluation");
  Scores scores = {{"loss", 0.0}};
  for (size_t i = 0; i < terms.size(); ++i) {
    const double labels = std::max(1.0, totals[2 * terms.size() + i]);
    scores.emplace_back(terms[i].name + "_loss", totals[i] / labels);
    scores.emplace_back(terms[i].name + "_accuracy", totals[terms.size() + i] / labels);
    scores[0].second += static_cast<double>(terms[i].weight) * totals[i] / labels;
  }
  if (terms[0].name == "mlm") scores.emplace_back("perplexity", std::exp(scores[1].second));
  return scores;
}

// Only rank 0 knows which there are: a number, and its name behind it.
Scores Evaluator::shared(const Scores& scores) {
  std::string mine;
  for (const auto& [name, value] : scores) {
    mine.append(reinterpret_cast<const char*>(&value), sizeof value);
    mine.append(name.c_str(), name.size() + 1);
  }
  const auto all = comm_.all_gather_bytes(std::as_bytes(std::span(mine)), "scores");
  Scores out;
  for (const auto *at = reinterpret_cast<const char*>(all[0].data()), *end = at + all[0].size(); at < end;) {
    double value = 0;
    std::memcpy(&value, at, sizeof value);
    const std::string name(at + sizeof value);
    out.emplace_back(name, value);
    at += sizeof value + name.size() + 1;
  }
  return out;
}

}  // namespace mpibert
