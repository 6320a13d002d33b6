#include "mpibert/tasks/entities.h"

#include <algorithm>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

bool is_one_of(char scheme, std::string_view schemes) { return schemes.find(scheme) != std::string_view::npos; }

// Whether an entity that the word before is in ends before this one.
bool ends(const Tag& before, const Tag& now) {
  if (is_one_of(before.scheme, "ES")) return true;
  if (is_one_of(before.scheme, "BI") && is_one_of(now.scheme, "BSO")) return true;
  return !is_one_of(before.scheme, "O.") && before.type != now.type;
}

bool begins(const Tag& before, const Tag& now) {
  if (is_one_of(now.scheme, "BS")) return true;
  if (is_one_of(before.scheme, "ESO") && is_one_of(now.scheme, "EI")) return true;
  return !is_one_of(now.scheme, "O.") && before.type != now.type;
}

double ratio(int64_t part, int64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

Tag parse_tag(std::string_view label) {
  if (label.empty()) return {};
  std::string_view type = label.substr(1);
  if (const size_t dash = type.find('-'); dash != std::string_view::npos) type.remove_prefix(dash + 1);
  return {.scheme = label.front(), .type = type.empty() ? "_" : std::string(type)};
}

std::vector<Entity> entities_of(std::span<const Tag> tags) {
  std::vector<Entity> entities;
  Tag before;
  bool inside = false;
  int64_t begin = 0;
  for (int64_t i = 0; i <= static_cast<int64_t>(tags.size()); ++i) {
    const Tag now = i < static_cast<int64_t>(tags.size()) ? tags[static_cast<size_t>(i)] : Tag{};
    if (inside && ends(before, now)) {
      entities.push_back({before.type, begin, i});
      inside = false;
    }
    if (begins(before, now)) {
      inside = true;
      begin = i;
    }
    before = now;
  }
  return entities;
}

EntityScores::EntityScores(const std::vector<std::string>& label_names) {
  std::ranges::transform(label_names, std::back_inserter(tags_), parse_tag);
}

void EntityScores::add(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  MPIBERT_CHECK(predicted.size() == labels.size(), kInvalidArgument, "a sentence of ", labels.size(), " words has ", predicted.size(),
                " predictions");
  const auto entities = [&](std::span<const int32_t> numbers) {
    std::vector<Tag> tags;
    for (const int32_t number : numbers) tags.push_back(tags_.at(static_cast<size_t>(number)));
    std::vector<Entity> found = entities_of(tags);
    std::ranges::sort(found);
    return found;
  };
  const std::vector<Entity> guessed = entities(predicted), real = entities(labels);
  std::vector<Entity> right;
  std::ranges::set_intersection(guessed, real, std::back_inserter(right));
  predicted_ += static_cast<int64_t>(guessed.size());
  real_ += static_cast<int64_t>(real.size());
  right_ += static_cast<int64_t>(right.size());
  words_ += static_cast<int64_t>(labels.size());
  for (size_t i = 0; i < labels.size(); ++i) right_words_ += predicted[i] == labels[i];
}

Scores EntityScores::scores(const std::vector<std::string>& metrics) const {
  const double precision = ratio(right_, predicted_), recall = ratio(right_, real_);
  const std::map<std::string, double> all = {{"precision", precision},
                                             {"recall", recall},
                                             {"f1", precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0},
                                             {"accuracy", ratio(right_words_, words_)}};
  Scores scores;
  for (const std::string& metric : metrics) scores.emplace_back(metric, all.at(metric));
  return scores;
}

}  // namespace mpibert
