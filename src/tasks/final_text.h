#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpibert/text/tokenizer.h"

namespace mpibert {

// Words at white space, as run_squad.py splits them, with one blank between them.
std::string join_words(std::string_view text);

// The part of `words` that the pieces were made of, by get_final_text of run_squad.py: the words are tokenized again, what the pieces spell
// is looked for there, and the characters of both texts are counted without spaces. All of `words` where that fails, as it does where
// cleaning, accents or white space change the number of characters.
std::string final_text(const std::vector<std::string>& pieces, const std::string& words, const TokenizerOptions& options);

}  // namespace mpibert
