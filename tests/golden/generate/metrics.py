"""Scores of 1,000 random predictions and of edge cases, by scikit-learn and scipy.

usage: metrics.py FOLDER     writes metrics.golden into it: the scores as attributes; both sides make labels and predictions from their names, as classes() and numbers() do
"""

import pathlib
import sys
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
import sklearn.metrics
from golden import hashed, write

COUNT = 1000


def classes(name, number):
    """Random labels, and predictions of which about 7 in 10 are right."""
    labels, others, right = ((hashed(f"{name}.{what}", COUNT) + 127) for what in ("labels", "others", "right"))
    return np.where(right % 10 < 7, labels, others) % number, labels % number


def numbers(name, fine):
    """Numbers in steps of 1/64, with hundreds of ties; or without a tie."""
    labels, noise, tail = (hashed(f"{name}.{what}", COUNT) / 64 for what in ("labels", "noise", "tail"))
    more = tail / 256 + np.arange(COUNT) / 2**20 if fine else 0
    return labels + noise + more, labels - more


def main(folder):
    warnings.simplefilter("ignore")  # of correlations that are not defined
    scores = {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "numpy": np.__version__}

    def add_classes(case, predicted, labels):
        scores[f"{case}.accuracy"] = sklearn.metrics.accuracy_score(labels, predicted)
        scores[f"{case}.matthews_correlation"] = sklearn.metrics.matthews_corrcoef(labels, predicted)
        if set(labels) | set(predicted) <= {0, 1}:
            scores[f"{case}.f1"] = sklearn.metrics.f1_score(labels, predicted, zero_division=0)

    def add_numbers(case, predicted, labels):
        scores[f"{case}.pearson"] = scipy.stats.pearsonr(predicted, labels)[0]
        scores[f"{case}.spearmanr"] = scipy.stats.spearmanr(predicted, labels)[0]

    for number in (2, 3, 20):
        add_classes(f"classes{number}", *classes(f"classes{number}", number))
    zeros, labels = np.zeros(COUNT, dtype=int), classes("classes2", 2)[1]
    add_classes("constant", zeros, labels)
    add_classes("one_class", zeros, zeros)
    add_classes("wrong", 1 - labels, labels)
    add_numbers("ties", *numbers("ties", False))
    add_numbers("fine", *numbers("fine", True))
    add_numbers("constant_numbers", np.full(COUNT, 2.5), numbers("fine", True)[1])
    add_numbers("large", numbers("fine", True)[0] + 1e6, numbers("fine", True)[1])
    write(folder / "metrics.golden", {key: format(value, ".17g") if isinstance(value, float) else value for key, value in scores.items()}, {})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
