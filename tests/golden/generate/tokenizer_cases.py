#!/usr/bin/env python3
"""Writes fixtures/tokenizer_vocab.txt and fixtures/tokenizer_cases.jsonl: what Hugging Face's `tokenizers` makes of hard texts.

usage: tokenizer_cases.py [--seed N]     needs: pip install tokenizers==0.22.2
The vocabulary is our own: every letter that the cases are likely to leave after normalisation, alone and as a ## piece, some words, CJK characters
and punctuation. The first line of the cases names versions, seed and counts; every other line is one case:
{"options": i (of the first line), "a", "b", "max_length", "truncation", "expected": {"ids", "type_ids", "offsets", "word_ids", "special_tokens_mask"}}
"""
import argparse
import json
import pathlib
import random
import unicodedata

import tokenizers
import tokenizers_peer as peer

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
OPTIONS = [{}, {"do_lower_case": False}, {"do_lower_case": False, "strip_accents": True}, {"strip_accents": False}, {"clean_text": False},
           {"tokenize_chinese_chars": False}, {"match_special_tokens": False}, {"max_input_chars_per_word": 6},
           {"added_tokens": [{"content": "Yesterday", "special": False, "normalized": True}, {"content": "[ENT]", "lstrip": True, "rstrip": True},
                             {"content": "wo", "special": False, "normalized": False, "single_word": True}]}]
WRITTEN = [
    "", " ", "\u200b", "don't U.S.A. a-b_c $5 + <x> = ^`|~", "İstanbul ISTANBUL ıI", "ΟΔΟΣ Σ σς", "Straße ẞ", "ﬁ Ⅷ Ａ ſ K Å Ω ϴ", "각 한국어 " + "각" * 33,
    "각" * 34, "a" * 100, "a" * 101, "a\u200bb a\u00adb a\u0085b a\x0bb a\x0cb a\x1cb", "a\u2028b a\u3000b a\u00a0b a\u1680b", "\ue000x\U000f0000y",
    "Cafe\u0301 CAFÉ", "👨\u200d👩\u200d👧", "x\u0301\u0302y", "a\U0002b820b a\U0002b81fb a\U0002b920b", "x[MASK]y [mask] [[SEP]] [CLS][CLS]", "中文abc中 \u4e2d\u0301",
    "a\u0316\u0344\u0301", "\u0344\u0316", "à\u0316\u1df6\u0301", "\u1734a\u166db\U000111c9c \u1885 \ua9bd", "\u1c89 \ua7cb \U00010d50 \U00016ea0", "a\x00b\ufffdc",
    "\u0fb3\u0f71\u0f80", "I came YESTERDAY, yesterday wo wow [ENT] x  [ENT]  y", "..." * 5, "e\u0301\u0301\u0301" * 5, "\u2e43\u2e50 \u0890\u08e2", "a\r\nb\rc\td"]


def vocabulary():
    characters = [chr(c) for c in [*range(0x21, 0x7F), *range(0xDF, 0x100), *range(0x3B1, 0x3CA), *range(0x430, 0x450), *range(0x5D0, 0x5EB),
                                   *range(0x627, 0x64B), *range(0x905, 0x93A), *range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3),
                                   0x131, 0x142, 0x3C2, 0x1E9E, 0x301, 0x307, 0x316, 0x4E2D, 0x56FD, 0x6587, 0x2B820, 0x2B81F, 0x20AC, 0x1F600]]
    words = ["un", "##un", "want", "##want", "##ing", "##ed", "run", "##run", "don", "the", "The", "word", "wo", "##rd", "yester", "##day", "istanbul", "cafe", "Cafe",
             "##er", "##es", "##s\u0301", "οδος", "ab", "##ab", "abc", "aa", "##aa", "aaaa", "##aaaa"]
    pieces = [c for c in characters] + ["##" + c for c in characters if unicodedata.category(c)[0] in "LMS"]
    return ["[PAD]", *(f"[unused{i}]" for i in range(5)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces + words)]


def cases(rng):
    for options in range(len(OPTIONS)):
        yield from ((options, text, None, None, "longest_first") for text in (WRITTEN if options in (0, 1, 8) else WRITTEN[18:24]))
    texts = [t for t in peer.hostile_texts(rng.random(), 900) if len(t) < 30]
    for text in texts[:300]:
        yield rng.randrange(len(OPTIONS)), text, None, None, "longest_first"
    written = [t for t in WRITTEN if len(t) < 60]
    for _ in range(75):
        yield (0, rng.choice(written), rng.choice([None, rng.choice(written)]), rng.choice([4, 7, 8, 13, 32]), "longest_first")
    for strategy in ("only_first", "only_second"):
        for _ in range(12):
            yield 0, rng.choice(written), rng.choice(written), rng.choice([7, 16, 24]), strategy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    assert tokenizers.__version__ == "0.22.2", tokenizers.__version__
    vocab_file = FIXTURES / "tokenizer_vocab.txt"
    vocab_file.write_text("\n".join(vocabulary()) + "\n", encoding="utf-8", newline="\n")
    built = [peer.build(vocab_file, options) for options in OPTIONS]
    lines = []
    for options, a, b, max_length, truncation in cases(random.Random(seed)):
        expected = peer.encode(built[options], a, b, max_length, truncation)
        if "error" in expected:
            expected = {"error": True}
        lines.append({"options": options, "a": a, "b": b, "max_length": max_length, "truncation": truncation, "expected": expected})
    header = {"tokenizers": tokenizers.__version__, "seed": seed, "cases": len(lines), "options": OPTIONS}
    compact = dict(separators=(",", ":"))
    text = "".join(json.dumps(line, **compact) + "\n" for line in [header, *lines])
    (FIXTURES / "tokenizer_cases.jsonl").write_text(text, encoding="utf-8", newline="\n")
    print(len(lines), "cases,", len(text), "bytes,", vocab_file.stat().st_size, "bytes of vocabulary")


if __name__ == "__main__":
    main()
