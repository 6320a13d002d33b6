#pragma once

#include <string>
#include <string_view>

// What SQuAD's official scripts do with texts, as Python 3's str and re do it.
namespace mpibert {

std::u32string python_lower(std::u32string_view text);
bool is_python_word(char32_t c);   // \w of re
bool is_python_space(char32_t c);  // str.isspace
// " ".join(text.split())
std::string join_python_words(std::string_view text);
std::u32string join_python_words(std::u32string_view text);

}  // namespace mpibert
