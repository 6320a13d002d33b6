#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "mpibert/text/tokenizer.h"

namespace mpibert::test {

// {"do_lower_case": true, ..., "added_tokens": [{"content": ...}]} with the names and defaults of TokenizerOptions.
inline TokenizerOptions options_from(const nlohmann::json& json) {
  TokenizerOptions options;
  options.do_lower_case = json.value("do_lower_case", true);
  if (json.contains("strip_accents") && !json["strip_accents"].is_null()) options.strip_accents = json["strip_accents"].get<bool>();
  options.tokenize_chinese_chars = json.value("tokenize_chinese_chars", true);
  options.clean_text = json.value("clean_text", true);
  options.match_special_tokens = json.value("match_special_tokens", true);
  options.max_input_chars_per_word = json.value("max_input_chars_per_word", 100);
  for (const auto& token : json.value("added_tokens", nlohmann::json::array()))
    options.added_tokens.push_back({.content = token["content"],
                                    .special = token.value("special", true),
                                    .normalized = token.value("normalized", false),
                                    .single_word = token.value("single_word", false),
                                    .lstrip = token.value("lstrip", false),
                                    .rstrip = token.value("rstrip", false)});
  return options;
}

// Places as [begin, end, begin, end, ...]; the characters' ones are "offsets".
inline nlohmann::json to_json(const Encoding& encoding) {
  const auto flat = [](const std::vector<Span>& spans) {
    std::vector<int32_t> result;
    for (const Span& span : spans) result.insert(result.end(), {span.begin, span.end});
    return result;
  };
  return {{"ids", encoding.ids},
          {"type_ids", encoding.type_ids},
          {"offsets", flat(encoding.char_offsets)},
          {"byte_offsets", flat(encoding.byte_offsets)},
          {"word_ids", encoding.word_ids},
          {"special_tokens_mask", encoding.special_tokens_mask}};
}

}  // namespace mpibert::test
