#include <cmath>
#include <limits>

#include "interop/strict_json.h"
#include "mpibert/base/error.h"
#include "mpibert/train/checkpoint.h"

namespace mpibert {

namespace {

using nlohmann::json;

constexpr int64_t kStateSchema = 1;

double read_number(const json& value, const char* key, const std::string& where) {
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();  // JSON has no other way to say it
  MPIBERT_CHECK(value.is_number(), kCorrupt, where, ": \"", key, "\" is not a number");
  return value.get<double>();
}

std::map<std::string, std::string> read_texts(const json& object, const char* key, const std::string& where) {
  const json& members = json_member(object, key, where);
  MPIBERT_CHECK(members.is_object(), kCorrupt, where, ": \"", key, "\" is not an object");
  std::map<std::string, std::string> texts;
  for (const auto& [name, value] : members.items()) texts[name] = json_string(members, name.c_str(), where);
  return texts;
}

}  // namespace

std::string TrainingState::json() const {
  nlohmann::ordered_json object = {{"schema", kStateSchema},
                                   {"step", step},
                                   {"samples_seen", samples_seen},
                                   {"tokens_seen", tokens_seen},
                                   {"epoch", epoch},
                                   {"seed", seed},
                                   {"slots", slots},
                                   {"loss_scale", {{"value", loss_scale}, {"good_steps", loss_scale_good_steps}}},
                                   {"dataset_fingerprint", dataset_fingerprint},
                                   {"parent", parent},
                                   {"metrics", metrics},
                                   {"options", options},
                                   {"extra", extra}};
  try {
    return object.dump(1) + "\n";
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kInvalidArgument, str_cat("texts in the training state have to be UTF-8: ", error.what()));
  }
}

TrainingState TrainingState::from_json(const std::string& text, const std::string& where) {
  const nlohmann::json object = parse_strict_json(text, where);
  const int64_t schema = json_count(object, "schema", where);
  MPIBERT_CHECK(schema == kStateSchema, kCorrupt, where, ": schema ", schema, ", and this program reads ", kStateSchema);
  TrainingState state;
  state.step = json_count(object, "step", where);
  state.samples_seen = json_count(object, "samples_seen", where);
  state.tokens_seen = json_count(object, "tokens_seen", where);
  state.epoch = read_number(json_member(object, "epoch", where), "epoch", where);
  const nlohmann::json& seed = json_member(object, "seed", where);
  MPIBERT_CHECK(seed.is_number_unsigned(), kCorrupt, where, ": \"seed\" is not a 64-bit count");
  state.seed = seed.get<uint64_t>();
  state.slots = json_count(object, "slots", where);
  const nlohmann::json& scale = json_member(object, "loss_scale", where);
  state.loss_scale = read_number(json_member(scale, "value", where), "loss_scale.value", where);
  MPIBERT_CHECK(state.loss_scale > 0 && std::isfinite(state.loss_scale), kCorrupt, where, ": \"loss_scale.value\" is ", state.loss_scale,
                ", expected a finite number above 0");
  state.loss_scale_good_steps = json_count(scale, "good_steps", where);
  state.dataset_fingerprint = json_string(object, "dataset_fingerprint", where);
  state.parent = json_string(object, "parent", where);
  const nlohmann::json& metrics = json_member(object, "metrics", where);
  MPIBERT_CHECK(metrics.is_object(), kCorrupt, where, ": \"metrics\" is not an object");
  for (const auto& [name, value] : metrics.items()) state.metrics[name] = read_number(value, name.c_str(), where);
  state.options = read_texts(object, "options", where);
  state.extra = read_texts(object, "extra", where);
  return state;
}

}  // namespace mpibert
