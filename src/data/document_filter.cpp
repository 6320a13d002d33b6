#include "mpibert/data/document_filter.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <utility>

#include "mpibert/base/error.h"
#include "mpibert/base/parse_number.h"
#include "mpibert/base/sha256.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

std::vector<int32_t> scripts_of(const std::string& name) {
  std::array<UScriptCode, 16> codes{};
  UErrorCode code = U_ZERO_ERROR;
  const int32_t count = uscript_getCode(name.c_str(), codes.data(), static_cast<int32_t>(codes.size()), &code);
  MPIBERT_CHECK(U_SUCCESS(code) && count > 0, kInvalidArgument, "no language or script '", name,
                "' is known to ICU; give one as en, ja, Latn or Cyrillic");
  return {codes.begin(), codes.begin() + count};
}

int64_t characters_of(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// Of the letters; 0 if there is none.
double share_of(const std::vector<int32_t>& scripts, std::string_view text) {
  int64_t letters = 0, wanted = 0;
  for (const char* at = text.data(); at < text.data() + text.size();) {
    const unicode::Decoded c = unicode::decode(at, text.data() + text.size());
    at += c.bytes;
    const auto character = static_cast<UChar32>(c.value);
    if (u_isalpha(character) == 0) continue;
    UErrorCode code = U_ZERO_ERROR;
    ++letters;
    if (std::find(scripts.begin(), scripts.end(), uscript_getScript(character, &code)) != scripts.end()) ++wanted;
  }
  return letters == 0 ? 0 : static_cast<double>(wanted) / static_cast<double>(letters);
}

}  // namespace

DocumentFilter::DocumentFilter(const DocumentFilterOptions& options) : options_(options) {
  MPIBERT_CHECK(options.min_script_share >= 0 && options.min_script_share <= 1, kInvalidArgument, "min_script_share is ",
                options.min_script_share, ", expected 0 to 1");
  if (!options.script.empty()) scripts_ = scripts_of(options.script);
}

DocumentFilter::Verdict DocumentFilter::judge(const Document& document) const {
  if (options_.min_characters > 0 && characters_of(document.text()) - document.sentences() < options_.min_characters)
    return Verdict::kShort;
  if (!scripts_.empty() && share_of(scripts_, document.text()) < options_.min_script_share) return Verdict::kOtherScript;
  return Verdict::kKeep;
}

DocumentHash hash_of(const Document& document) {
  const std::string digits = sha256_hex(document.text());
  const auto half = [&](size_t first) { return *parse_number<uint64_t>(std::string_view(digits).substr(first, 16), 16); };
  return {.high = half(0), .low = half(16)};
}

}  // namespace mpibert
