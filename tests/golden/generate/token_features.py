"""Words into tokens as `tokenizers` takes them (is_pretokenized, transformers' is_split_into_words), and sentences that are hard for it.

usage: token_features.py FOLDER     writes token_features.jsonl into it, for the vocabulary tokenizer_vocab.txt of that folder
"""

import json
import pathlib
import random
import sys

from tokenizers_peer import build

WORDS = ["The", "U.S.", "can't", "Zürich", "北京", "don't-stop", "e-mail@x.org", "3,000.50", "unaffable", "ÅNGSTRÖM", "ﬁne", "naïve", "a", "😀", "[MASK]", "x" * 120, "co\u0301te"]


def main(folder):
    tokenizer = build(folder / "tokenizer_vocab.txt", {})
    draw = random.Random(17)
    with open(folder / "token_features.jsonl", "w") as file:
        for count in [1, 2, 3, 5, 8, 13, 21, 30] * 3:
            words = [draw.choice(WORDS) for _ in range(count)]
            encoding = tokenizer.encode(words, is_pretokenized=True)
            firsts, before = [], None
            for word in encoding.word_ids:
                firsts.append(-1 if word is None or word == before else word)
                before = word
            print(json.dumps({"words": words, "input_ids": encoding.ids, "first_words": firsts}), file=file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
