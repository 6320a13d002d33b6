#pragma once

#include <string>
#include <vector>

#include "mpibert/tasks/task.h"

namespace mpibert {

// A classification of one sentence or two: a row of the table in sentence.cpp.
struct SentenceTask {
  Task task;
  std::vector<std::string> files;       // names of the raw files without .gz; % stands for the split; the first that is there is read
  std::string text_a, text_b;           // columns of the header, or members of the JSON objects; text_b empty: one sentence
  std::string label;
  std::vector<std::string> raw_labels;  // as the files spell label 0, 1, ...
  std::string no_label;                 // of a row without a gold label, which is dropped; empty: there are none
};

const std::vector<SentenceTask>& sentence_tasks();

}  // namespace mpibert
