#include "mpibert/train/evaluator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "mpibert/base/error.h"
#include "mpibert/ops/host_cast.h"

namespace mpibert {

namespace {

// Mean of -log softmax(values)[label], in double.
double mean_cross_entropy(std::span<const Prediction> predictions, std::span<const int32_t> labels) {
  double sum = 0;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const std::vector<float>& values = predictions[i].values;
    const double largest = *std::max_element(values.begin(), values.end());
    double total = 0;
    for (const float value : values) total += std::exp(static_cast<double>(value) - largest);
    sum += std::log(total) + largest - static_cast<double>(values[static_cast<size_t>(labels[i])]);
  }
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

std::vector<float> host_floats(Backend& backend, const Tensor& tensor) {
  std::vector<float> numbers(static_cast<size_t>(tensor.size()));
  if (tensor.dtype() == DType::kFloat32) {
    backend.download(tensor, host_tensor(std::span(numbers), tensor.shape()));
    return numbers;
  }
  std::vector<std::byte> bytes(tensor.bytes());
  const Tensor stored(bytes.data(), tensor.dtype(), tensor.shape());
  backend.download(tensor, stored);
  host_cast(stored, host_tensor(std::span(numbers), tensor.shape()));
  return numbers;
}

std::vector<double> softmax(std::span<const float> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  std::vector<double> out;
  double total = 0;
  for (const float value : values) total += out.emplace_back(std::exp(static_cast<double>(value) - largest));
  for (double& each : out) each /= total;
  return out;
}

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
  std::vector<Prediction> predictions;
  EvaluationLoader batches = loader(Dataset(split.folder, split.name), begin, end);
  while (const std::optional<Batch> batch = batches.next()) {
    model_.put(backend_, *batch);
    model_.forward(backend_, {.train = false});
    const Tensor logits = model_.logits(0);
    const std::vector<float> values = host_floats(backend_, logits);
    const auto classes = static_cast<size_t>(logits.shape()[-1]);
    for (size_t i = 0; i < batch->sample_ids().size(); ++i)
      predictions.push_back({batch->sample_ids()[i], {values.begin() + static_cast<ptrdiff_t>(i * classes), values.begin() + static_cast<ptrdiff_t>((i + 1) * classes)}});
  }
  std::sort(predictions.begin(), predictions.end(), [](const Prediction& a, const Prediction& b) { return a.sample < b.sample; });
  return predictions;
}

Scores Evaluator::evaluate(const Task& task, const DataSplit& split) {
  return task.kind == TaskKind::kPretraining ? evaluate_pretraining(split) : evaluate_sentences(task, split);
}

Scores Evaluator::evaluate_sentences(const Task& task, const DataSplit& split) {
  const Dataset dataset(split.folder, split.name);
  MPIBERT_CHECK(!dataset.labels().empty(), kInvalidArgument, "split '", split.name, "' of ", split.folder.string(), " has no labels to score with; use predict");
  const auto [begin, end] = evaluation_range(dataset.size(), comm_.rank(), comm_.size());
  std::vector<float> mine;
  for (const Prediction& prediction : predict(split, begin, end)) mine.insert(mine.end(), prediction.values.begin(), prediction.values.end());
  const auto parts = comm_.gather_bytes(std::as_bytes(std::span(mine)), 0, "predictions");

  Scores scores;
  if (comm_.rank() == 0) {
    std::vector<Prediction> predictions;
    const auto outputs = static_cast<size_t>(task.outputs());
    for (const auto& part : parts) {
      for (size_t at = 0; at + outputs * sizeof(float) <= part.size(); at += outputs * sizeof(float)) {
        std::vector<float> values(outputs);
        std::memcpy(values.data(), part.data() + at, outputs * sizeof(float));
        predictions.push_back({static_cast<int64_t>(predictions.size()), std::move(values)});
      }
    }
    std::vector<int64_t> ids(static_cast<size_t>(dataset.size()));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
    std::vector<int32_t> labels;
    for (const Sample& sample : dataset.read(ids)) labels.push_back(sample.label("labels").at(0));
    scores = score(task, predictions, labels);
    scores.insert(scores.begin(), {"loss", task.kind == TaskKind::kRegression ? mean_squared_error(predictions, labels) : mean_cross_entropy(predictions, labels)});
  } else {
    scores.emplace_back("loss", 0);
    for (const std::string& metric : task.metrics) scores.emplace_back(metric, 0);
  }
  return shared(scores);
}

Scores Evaluator::evaluate_pretraining(const DataSplit& split) {
  const std::vector<LossTerm> terms = model_.head().terms();
  const auto count = static_cast<int64_t>(terms.size());
  Buffer memory = backend_.allocate(static_cast<size_t>(2 * count) * sizeof(float));
  const Tensor sums = memory.view(DType::kFloat32, {count}), correct = memory.view(DType::kFloat32, {count}, static_cast<size_t>(count) * sizeof(float));
  std::vector<double> totals(static_cast<size_t>(3 * count), 0.0);  // losses, right answers, labels

  Dataset dataset(split.folder, split.name);
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
  return scores;
}

// Rank 0's scores, on all ranks.
Scores Evaluator::shared(const Scores& scores) {
  std::vector<double> values;
  for (const auto& [name, value] : scores) values.push_back(value);
  comm_.broadcast(Tensor(values.data(), DType::kUInt8, {static_cast<int64_t>(values.size() * sizeof(double))}), 0, "scores");
  Scores out = scores;
  for (size_t i = 0; i < out.size(); ++i) out[i].second = values[i];
  return out;
}

}  // namespace mpibert
