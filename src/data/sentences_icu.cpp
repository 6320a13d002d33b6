#include "data/sentences_icu.h"

#include <unicode/ubrk.h>
#include <unicode/uloc.h>
#include <unicode/utext.h>

#include <array>

#include "data/line_reader.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

void check(UErrorCode code, std::string_view what) {
  MPIBERT_CHECK(U_SUCCESS(code), kInvalidArgument, "ICU: ", what, ": ", u_errorName(code));
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

struct IcuSentences::Data {
  UBreakIterator* breaks = nullptr;
  UText text = UTEXT_INITIALIZER;
  ~Data() {
    utext_close(&text);
    ubrk_close(breaks);
  }
};

IcuSentences::IcuSentences(const std::string& language) : data_(std::make_unique<Data>()) {
  UErrorCode code = U_ZERO_ERROR;
  std::array<char, ULOC_FULLNAME_CAPACITY> locale{};
  uloc_forLanguageTag(language.c_str(), locale.data(), static_cast<int32_t>(locale.size()), nullptr, &code);
  std::array<char, ULOC_LANG_CAPACITY> name{};
  uloc_getLanguage(locale.data(), name.data(), static_cast<int32_t>(name.size()), &code);
  check(code, str_cat("language '", language, "'"));
  const char* known = uloc_getISO3Language(locale.data());
  MPIBERT_CHECK(known[0] != '\0', kInvalidArgument, "no language '", language, "' is known to ICU; give a tag as en, de or zh-Hans");
  const std::string with_abbreviations = std::string(locale.data()) + "@ss=standard";
  data_->breaks = ubrk_open(UBRK_SENTENCE, with_abbreviations.c_str(), nullptr, 0, &code);
  check(code, str_cat("sentence rules of '", language, "'"));
}

IcuSentences::~IcuSentences() = default;
IcuSentences::IcuSentences(IcuSentences&&) noexcept = default;
IcuSentences& IcuSentences::operator=(IcuSentences&&) noexcept = default;

void IcuSentences::split(std::string_view paragraph, Document& document) {
  if (paragraph.empty()) return;
  UErrorCode code = U_ZERO_ERROR;
  utext_openUTF8(&data_->text, paragraph.data(), static_cast<int64_t>(paragraph.size()), &code);
  ubrk_setUText(data_->breaks, &data_->text, &code);
  check(code, "a paragraph");
  int32_t begin = ubrk_first(data_->breaks);
  for (int32_t end = ubrk_next(data_->breaks); end != UBRK_DONE; begin = end, end = ubrk_next(data_->breaks)) {
    std::string_view sentence = paragraph.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    while (!sentence.empty() && is_space(sentence.front())) sentence.remove_prefix(1);
    while (!sentence.empty() && is_space(sentence.back())) sentence.remove_suffix(1);
    if (!is_blank(sentence)) document.add(sentence);
  }
}

}  // namespace mpibert
