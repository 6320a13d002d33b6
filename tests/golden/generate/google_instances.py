"""Instances of google_reference.py for small corpora of numbered tokens.

usage: google_instances.py FOLDER     writes google_instances.jsonl: one case a line, with its documents, options and samples
"""

import dataclasses
import json
import pathlib
import platform
import random
import sys

from google_reference import CLS, MASK, SEP, Options, instances_of

VOCABULARY = ["[PAD]", "[UNK]", CLS, SEP, MASK] + [("##" if i % 3 == 0 else "") + f"w{i}" for i in range(120)]


def corpus(seed, documents, sentences, tokens):
    rng = random.Random(seed)
    return [[[rng.choice(VOCABULARY[5:]) for _ in range(rng.randint(1, tokens))] for _ in range(rng.randint(1, sentences))] for _ in range(documents)]


CASES = [
    (corpus(1, 6, 9, 14), Options(max_seq_length=32, max_predictions_per_seq=5, dupe_factor=2)),
    (corpus(2, 6, 9, 14), Options(max_seq_length=32, max_predictions_per_seq=20, dupe_factor=2, do_whole_word_mask=True)),
    (corpus(3, 4, 30, 6), Options(max_seq_length=64, short_seq_prob=1.0, dupe_factor=3, random_seed=0)),
    (corpus(4, 1, 12, 9), Options(max_seq_length=24, max_predictions_per_seq=3, dupe_factor=3, random_seed=2**40 + 1)),
    (corpus(5, 1, 1, 1), Options(max_seq_length=8, dupe_factor=2)),
    (corpus(6, 5, 8, 90), Options(max_seq_length=5, max_predictions_per_seq=1, dupe_factor=1, random_seed=7)),
    (corpus(7, 9, 4, 40), Options(max_seq_length=128, masked_lm_prob=0.5, max_predictions_per_seq=30, dupe_factor=1, do_whole_word_mask=True, random_seed=99)),
]


def main():
    id_of = {token: i for i, token in enumerate(VOCABULARY)}
    with open(pathlib.Path(sys.argv[1]) / "google_instances.jsonl", "w") as file:
        for documents, options in CASES:
            samples = [[[id_of[t] for t in made.tokens], made.segment_ids, made.masked_lm_positions, [id_of[t] for t in made.masked_lm_labels], int(made.is_random_next)]
                       for made in instances_of(documents, VOCABULARY, options)]
            ids = [[[id_of[t] for t in sentence] for sentence in document] for document in documents]
            case = {"python": platform.python_version(), "options": dataclasses.asdict(options), "vocabulary": VOCABULARY, "documents": ids, "samples": samples}
            file.write(json.dumps(case, separators=(",", ":")) + "\n")


main()
