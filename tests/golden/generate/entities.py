"""Precision, recall, F1 and accuracy of entities in random tags, by seqeval.

usage: entities.py FOLDER     writes entities.golden into it: the scores as attributes; both sides make the tags from their names, as sentences() does
"""

import importlib.metadata
import pathlib
import sys
import warnings

from golden import hashed, write
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

SENTENCES = 1000
LABELS = {
    "iob2": ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"],
    "iobes": ["B-LOC", "E-LOC", "I-LOC", "O", "S-LOC", "B-PER", "E-PER", "I-PER", "S-PER"],
    "odd": ["B", "I", "I-a-b", "B-a-b", "O", "I-", "B-c", "I-c"],
    "nothing": ["O"],
}


def sentences(case, labels, right):
    """Of 1 to 12 words; `right` of 10 words are predicted as they are, the others at random."""
    lengths = (hashed(f"{case}.lengths", SENTENCES) + 127) % 12 + 1
    words = int(lengths.sum())
    real, others, hits = ((hashed(f"{case}.{what}", words) + 127) for what in ("real", "others", "hits"))
    real, predicted = real % len(labels), [a if h % 10 < right else b for a, b, h in zip(real % len(labels), others % len(labels), hits)]
    ends = lengths.cumsum()
    return tuple([[labels[n] for n in numbers[end - length : end]] for length, end in zip(lengths, ends)] for numbers in (list(real), predicted))


def main(folder):
    warnings.simplefilter("ignore")  # of tags without a scheme, and of scores without anything to divide by
    scores = {"seqeval": importlib.metadata.version("seqeval")}
    for case, labels in LABELS.items():
        for right in (0, 8):
            real, predicted = sentences(case, labels, right)
            for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score), ("accuracy", accuracy_score)):
                scores[f"{case}{right}.{name}"] = format(float(score(real, predicted)), ".17g")
    write(folder / "entities.golden", scores, {})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
