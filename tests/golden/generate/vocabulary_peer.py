"""Vocabularies as Hugging Face's `tokenizers` trains them, with what it leaves to hash tables fixed as include/mpibert/text/vocabulary_trainer.h says."""
from collections import Counter

from tokenizers import BertWordPieceTokenizer

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def new_tokenizer(tokenizer):
    """`tokenizer`: fields of TokenizerOptions."""
    return BertWordPieceTokenizer(clean_text=tokenizer.get("clean_text", True), handle_chinese_chars=tokenizer.get("tokenize_chinese_chars", True),
                                  strip_accents=tokenizer.get("strip_accents"), lowercase=tokenizer.get("do_lower_case", True))


def tokens_of(trained):
    return [token for token, _ in sorted(trained.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])]


def pieces_by_code_point(texts, options, tokenizer):
    """The alphabet and its pieces with the prefix, in the order of mpibert's ids."""
    built, characters, continuing = new_tokenizer(tokenizer), Counter(), set()
    for text in texts:
        for word, _ in built._tokenizer.pre_tokenizer.pre_tokenize_str(built._tokenizer.normalizer.normalize_str(text)):
            characters.update(word)
            continuing.update(word[1:])
    for character in options.get("initial_alphabet", ""):
        characters[character] = float("inf")
    kept = sorted(sorted(characters, key=lambda c: (-characters[c], c))[:options.get("limit_alphabet", 1000)])
    known = {*kept, *options.get("special_tokens", SPECIAL_TOKENS)}
    return kept + [options.get("wordpieces_prefix", "##") + c for c in sorted(continuing) if c in known]


def train(texts, options, tokenizer, ties_fixed=True):
    """Tokens by id. `options`: fields of VocabularyTrainerOptions. Where pieces are special tokens the trainer takes their ids and adds no other characters."""
    arguments = {"vocab_size": 30522, "limit_alphabet": 1000, "special_tokens": SPECIAL_TOKENS, **options}
    arguments["initial_alphabet"] = list(arguments.get("initial_alphabet", ""))
    if ties_fixed:
        arguments.update(special_tokens=arguments["special_tokens"] + pieces_by_code_point(texts, options, tokenizer), limit_alphabet=0, initial_alphabet=[])
    trained = new_tokenizer(tokenizer)
    trained.train_from_iterator(texts, show_progress=False, **arguments)
    return tokens_of(trained)
