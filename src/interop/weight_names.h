#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// A tensor of a file as BertForPreTraining and its siblings have it.
struct ModelTensor {
  enum class Role : uint8_t {
    kParameter,
    kBuffer,         // position_ids and the like: no parameter
    kTrainingState,  // of an optimizer, counters
    kUnknown,        // a name that means nothing here
  };
  std::string name{};  // canonical; of a buffer, a state and an unknown one the file's
  Role role = Role::kParameter;
  TensorInfo tensor{};  // transposed, reversed or reshaped to what `name` is; tensor.name stays the file's
};

// The tensors of a file, whoever's names they have, in order of the file's names. Known are those of transformers (also without "bert." and
// with gamma and beta), and of Google's BERT for TensorFlow 1 and 2 (src/interop/tensorflow_names.h, keras_names.h), of "Dive into Deep
// Learning" (d2l_names.h) and of MindSpore. Which it is, the file's names say.
std::vector<ModelTensor> model_tensors(const WeightsReader& reader);

inline constexpr std::string_view kDecoderBias = "cls.predictions.decoder.bias", kPredictionsBias = "cls.predictions.bias";

// True for the decoder of cls.predictions, whose numbers are those of the word embeddings and of its bias: files hold them once or twice.
bool is_decoder(std::string_view name);
// Throws kInvalidArgument if the decoder's tensor has other numbers than the one that it repeats; a file that lacks that one passes.
void check_tied(const WeightsReader& reader, const std::vector<ModelTensor>& tensors, const ModelTensor& decoder, const std::string& where);

// Throws kCorrupt for a number of `tensor` that is not finite, with file, tensor and place.
void check_finite(const WeightsReader& reader, const TensorInfo& tensor, std::span<const float> values);

// All names with a role of kUnknown in one kInvalidArgument, if there are any.
void refuse_unknown(const std::vector<ModelTensor>& tensors, const std::string& where);

// "a, b, c and 40 more"
std::string listed_names(const std::vector<std::string>& names, size_t shown = 12);

// The view with its two dimensions exchanged. Throws kCorrupt, with `where`, for another rank.
TensorInfo transposed(TensorInfo tensor, const std::string& where);
// The view with its rows from last to first, likewise.
TensorInfo reversed(TensorInfo tensor, const std::string& where);

}  // namespace mpibert
