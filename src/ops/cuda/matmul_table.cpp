#include "ops/cuda/matmul_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"

namespace mpibert::cuda {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "mpibert matmul algorithms";
constexpr int kVersion = 1;

constexpr std::array<std::pair<cublasLtEpilogue_t, const char*>, 6> kEpilogues = {{{CUBLASLT_EPILOGUE_DEFAULT, "default"},
                                                                                   {CUBLASLT_EPILOGUE_BIAS, "bias"},
                                                                                   {CUBLASLT_EPILOGUE_GELU_AUX, "gelu_aux"},
                                                                                   {CUBLASLT_EPILOGUE_GELU_AUX_BIAS, "gelu_aux_bias"},
                                                                                   {CUBLASLT_EPILOGUE_DGELU, "dgelu"},
                                                                                   {CUBLASLT_EPILOGUE_BGRADB, "bgradb"}}};

const char* name_of_epilogue(cublasLtEpilogue_t epilogue) {
  return std::ranges::find(kEpilogues, epilogue, &std::pair<cublasLtEpilogue_t, const char*>::first)->second;
}

cublasLtEpilogue_t epilogue_from_name(const std::string& name) {
  for (const auto& [epilogue, its_name] : kEpilogues)
    if (name == its_name) return epilogue;
  throw Error(ErrorKind::kCorrupt, str_cat("there is no epilogue '", name, "'"));
}

double to_nanoseconds(double microseconds) { return std::round(microseconds * 1e3) / 1e3; }

int64_t rounded_up(int64_t n) {
  constexpr int kBits = 4;
  const int dropped = std::max(0, static_cast<int>(std::bit_width(static_cast<uint64_t>(n))) - kBits);
  const int64_t unit = int64_t{1} << dropped;
  return (n + unit - 1) / unit * unit;
}

// The members of a value by name, for writing it to JSON and reading it from there: visit(name, member).
template <class Algorithm>
requires std::same_as<std::remove_const_t<Algorithm>, MatmulAlgorithm>
void for_members(Algorithm& a, const auto& visit) {
  visit("id", a.id);
  visit("tile", a.tile);
  visit("stages", a.stages);
  visit("split_k", a.split_k);
  visit("reduction", a.reduction);
  visit("swizzling", a.swizzling);
  visit("custom_option", a.custom_option);
  visit("inner_shape", a.inner_shape);
  visit("cluster_shape", a.cluster_shape);
}

template <class Kind>
requires std::same_as<std::remove_const_t<Kind>, MatmulKind>
void for_members(Kind& kind, const auto& visit) {
  visit("m", kind.m);
  visit("n", kind.n);
  visit("k", kind.k);
  visit("transpose_a", kind.transpose_a);
  visit("transpose_b", kind.transpose_b);
  visit("keeps_c", kind.keeps_c);
  visit("epilogue", kind.epilogue);
  visit("compute", kind.compute);
  visit("output", kind.output);
  visit("tf32", kind.tf32);
  visit("alignment", kind.alignment);
}

Json number_or_name(cublasLtEpilogue_t epilogue) { return name_of_epilogue(epilogue); }
Json number_or_name(DType dtype) { return std::string(name_of(dtype)); }
Json number_or_name(std::integral auto number) { return number; }

void take(const Json& json, cublasLtEpilogue_t& epilogue) { epilogue = epilogue_from_name(json.get<std::string>()); }
void take(const Json& json, DType& dtype) { dtype = precision_from_name(json.get<std::string>()); }
void take(const Json& json, std::integral auto& number) { json.get_to(number); }

Json json_of(const auto& value) {
  Json json;
  for_members(value, [&](const char* name, const auto& member) { json[name] = number_or_name(member); });
  return json;
}

template <class Value>
Value value_from(const Json& json) {
  Value value;
  for_members(value, [&](const char* name, auto& member) { take(json.at(name), member); });
  return value;
}

MatmulAlgorithm algorithm_from(const Json& json) {
  const auto a = value_from<MatmulAlgorithm>(json);
  MPIBERT_CHECK(adds_in_order(a), kCorrupt, "algorithm ", a.id, " with reduction scheme ", a.reduction,
                " does not add in a fixed order: expected scheme ", static_cast<int>(CUBLASLT_REDUCTION_SCHEME_NONE), " or ",
                static_cast<int>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  return a;
}

MatmulKind kind_from(const Json& json) {
  const auto kind = value_from<MatmulKind>(json);
  MPIBERT_CHECK(std::min({kind.m, kind.n, kind.k}) > 0, kCorrupt, "m, n and k: expected 1 or more, found ", kind.m, ", ", kind.n, " and ",
                kind.k);
  return kind;
}

MatmulTable table_from(const Json& json) {
  const std::string format = json.at("format").get<std::string>();
  MPIBERT_CHECK(format == kFormat && json.at("version").get<int>() == kVersion, kCorrupt, "expected format \"", kFormat, "\" of version ",
                kVersion, ", found \"", format, "\" of version ", json.at("version").dump());
  MatmulTable table{.platform = json.at("platform").get<std::string>(), .choices = {}};
  for (const Json& product : json.at("products")) {
    MatmulChoice choice{.algorithm = {},
                        .declined = product.at("declined").get<bool>(),
                        .microseconds = product.at("microseconds").get<double>(),
                        .first_microseconds = product.at("first_microseconds").get<double>()};
    if (const Json& algorithm = product.at("algorithm"); !algorithm.is_null()) choice.algorithm = algorithm_from(algorithm);
    table.choices[class_of(kind_from(product))] = choice;
  }
  return table;
}

}  // namespace

MatmulKind class_of(const MatmulKind& kind) {
  MatmulKind rounded = kind;
  for (int64_t* dimension : {&rounded.m, &rounded.n, &rounded.k}) *dimension = rounded_up(*dimension);
  return rounded;
}

std::string text_of(const MatmulAlgorithm& algorithm) { return json_of(algorithm).dump(); }

std::string MatmulTable::to_json() const {
  std::string text =
      str_cat("{\"format\": \"", kFormat, "\", \"version\": ", kVersion, ", \"platform\": ", Json(platform).dump(), ", \"products\": [");
  const char* separator = "\n";
  for (const auto& [kind, choice] : choices) {
    Json product = json_of(kind);
    product["algorithm"] = choice.algorithm ? json_of(*choice.algorithm) : Json();
    product["declined"] = choice.declined;
    product["microseconds"] = to_nanoseconds(choice.microseconds);
    product["first_microseconds"] = to_nanoseconds(choice.first_microseconds);
    text += separator + product.dump();
    separator = ",\n";
  }
  return text + "\n]}\n";
}

MatmulTable MatmulTable::from_json(const std::string& text) {
  try {
    return table_from(Json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat("this is no table of matmul algorithms: ", error.what()));
  } catch (const Error& error) {
    throw Error(ErrorKind::kCorrupt, str_cat("this is no table of matmul algorithms: ", error.what()));
  }
}

}  // namespace mpibert::cuda
