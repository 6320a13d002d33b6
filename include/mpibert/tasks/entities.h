#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "mpibert/tasks/task.h"

namespace mpibert {

// What a label of a token says, as seqeval reads it: "B-person" is {'B', "person"}, "O" {'O', "_"}.
struct Tag {
  char scheme = 'O';  // B, I, E, S, O
  std::string type = "_";
};
Tag parse_tag(std::string_view label);

// Words begin .. end-1 of a sentence.
struct Entity {
  std::string type;
  int64_t begin = 0, end = 0;
  auto operator<=>(const Entity&) const = default;
};
// The entities of a sentence by the rules of conlleval and of seqeval's default mode: B and S begin one, and so does whatever follows O, E,
// S or another type; one ends before O, B and S, after E and S, and where the type changes.
std::vector<Entity> entities_of(std::span<const Tag> tags);

// Precision, recall and F1 of entities over all sentences, micro-averaged, and the accuracy of single words: seqeval 1.2.2's overall_* in
// its default mode. Two entities are equal if their type and both ends are. A score without anything to divide by is 0. Source: Tjong Kim
// Sang, De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task".
class EntityScores {
 public:
  explicit EntityScores(const std::vector<std::string>& label_names);
  void add(std::span<const int32_t> predicted,
           std::span<const int32_t> labels);                     // of one sentence; throws kInvalidArgument unless both are as long
  Scores scores(const std::vector<std::string>& metrics) const;  // of "f1", "precision", "recall", "accuracy"

 private:
  std::vector<Tag> tags_;
  int64_t predicted_ = 0, real_ = 0, right_ = 0;  // entities
  int64_t words_ = 0, right_words_ = 0;
};

// Of a token classification: {"loss", mean cross-entropy of the words} and task.metrics of EntityScores, sentence by sentence, however many
// windows each has. predictions[i].values are the logits [length, classes] of samples[i]. Throws kInvalidArgument where they do not fit
// together.
Scores score_tokens(const Task& task, std::span<const Prediction> predictions, std::span<const Sample> samples);

}  // namespace mpibert
