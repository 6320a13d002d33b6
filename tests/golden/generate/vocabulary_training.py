#!/usr/bin/env python3
"""Writes fixtures/vocabulary_training.jsonl: the vocabularies that Hugging Face's `tokenizers` trains on small generated texts with many ties.

usage: vocabulary_training.py [--seed N]     needs: pip install tokenizers==0.22.2
The first line names version and seed; every other line is one case: {"texts", "options" of training, "tokenizer" options, "expected": tokens by id}.
"""
import argparse
import json
import pathlib
import random

import tokenizers
import vocabulary_peer as peer

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
ALPHABETS = ["ab", "abc", "abcdefgh", "etaoinshrdlu", "aáàbBcC'-.", "abc中文かなéß\u0301İ"]


def texts(rng, alphabet, words):
    """Words of a Zipfian list, so that some come often and many equally often."""
    known = ["".join(rng.choice(alphabet) for _ in range(rng.choice([1, 2, 3, 5, 8, 12]))) for _ in range(words)]
    return [" ".join(known[min(int(rng.paretovariate(0.7)) - 1, words - 1)] for _ in range(12)) for _ in range(words // 4)]


def cases(rng):
    for alphabet in ALPHABETS:
        for words, options in [(20, {}), (120, {"vocab_size": 90}), (120, {"min_frequency": 3}), (250, {"vocab_size": 300, "min_frequency": 0})]:
            yield texts(rng, alphabet, words), options, {}
    yield texts(rng, ALPHABETS[5], 80), {"limit_alphabet": 6}, {}
    yield texts(rng, ALPHABETS[4], 80), {"limit_alphabet": 4, "initial_alphabet": "zé"}, {"do_lower_case": False}
    yield texts(rng, ALPHABETS[5], 80), {"special_tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[ENT]", "b", "##c"]}, {"do_lower_case": False, "strip_accents": True}
    yield texts(rng, ALPHABETS[5], 80), {"wordpieces_prefix": "_"}, {"tokenize_chinese_chars": False, "strip_accents": False}
    yield texts(rng, "ab[PAD]", 60) + ["[PAD] [UNK] a[SEP]b"] * 3, {}, {}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    assert tokenizers.__version__ == "0.22.2", tokenizers.__version__
    lines = [{"tokenizers": tokenizers.__version__, "seed": seed}]
    for text, options, tokenizer in cases(random.Random(seed)):
        lines.append({"texts": text, "options": options, "tokenizer": tokenizer, "expected": peer.train(text, options, tokenizer)})
    written = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (FIXTURES / "vocabulary_training.jsonl").write_text(written, encoding="utf-8", newline="\n")
    print(len(lines) - 1, "cases,", len(written), "bytes")


if __name__ == "__main__":
    main()
