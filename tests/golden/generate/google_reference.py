"""What google-research/bert's create_pretraining_data.py makes of tokenized documents, from the published algorithm: every draw of random.Random in the script's order.

Tokens are strings here, as there. No part of the script is copied; draws and order are what is compared.
"""

import dataclasses
import random

CLS, SEP, MASK = "[CLS]", "[SEP]", "[MASK]"


@dataclasses.dataclass
class Options:
    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    short_seq_prob: float = 0.1
    masked_lm_prob: float = 0.15
    do_whole_word_mask: bool = False
    dupe_factor: int = 10
    random_seed: int = 12345


@dataclasses.dataclass
class Instance:
    tokens: list
    segment_ids: list
    masked_lm_positions: list
    masked_lm_labels: list
    is_random_next: bool


def documents_of(texts, tokenize):
    """texts: contents of the files, in order; a document may go on in the next file."""
    documents = [[]]
    for text in texts:
        for line in text.split("\n"):
            line = line.strip()
            if not line:
                documents.append([])
            tokens = tokenize(line)
            if tokens:
                documents[-1].append(tokens)
    return [document for document in documents if document]


def instances_of(documents, vocabulary, options):
    rng = random.Random(options.random_seed)
    documents = list(documents)
    rng.shuffle(documents)
    words = list({token: None for token in vocabulary})
    instances = []
    for _ in range(options.dupe_factor):
        for index in range(len(documents)):
            instances.extend(of_document(documents, index, words, options, rng))
    rng.shuffle(instances)
    return instances


def of_document(documents, index, words, options, rng):
    document = documents[index]
    budget = options.max_seq_length - 3
    target = budget
    if rng.random() < options.short_seq_prob:
        target = rng.randint(2, budget)
    chunk, length, position = [], 0, 0
    while position < len(document):
        chunk.append(document[position])
        length += len(document[position])
        if position == len(document) - 1 or length >= target:
            first = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
            a = sum(chunk[:first], [])
            is_random_next = len(chunk) == 1 or rng.random() < 0.5
            if is_random_next:
                b = random_text(documents, index, target - len(a), rng)
                position -= len(chunk) - first
            else:
                b = sum(chunk[first:], [])
            yield instance_of(a, b, is_random_next, words, options, rng)
            chunk, length = [], 0
        position += 1


def random_text(documents, index, wanted, rng):
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    text = []
    for sentence in document[rng.randint(0, len(document) - 1):]:
        text += sentence
        if len(text) >= wanted:
            break
    return text


def instance_of(a, b, is_random_next, words, options, rng):
    a, b = list(a), list(b)
    while len(a) + len(b) > options.max_seq_length - 3:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if rng.random() < 0.5 else -1)
    tokens = [CLS, *a, SEP, *b, SEP]
    masked, positions, labels = mask(tokens, words, options, rng)
    return Instance(masked, [0] * (len(a) + 2) + [1] * (len(b) + 1), positions, labels, is_random_next)


def mask(tokens, words, options, rng):
    groups = []
    for place, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if options.do_whole_word_mask and groups and token.startswith("##"):
            groups[-1].append(place)
        else:
            groups.append([place])
    rng.shuffle(groups)
    most = min(options.max_predictions_per_seq, max(1, int(round(len(tokens) * options.masked_lm_prob))))
    masked, chosen = list(tokens), []
    for group in groups:
        if len(chosen) >= most:
            break
        if len(chosen) + len(group) > most:
            continue
        for place in group:
            if rng.random() < 0.8:
                masked[place] = MASK
            elif rng.random() >= 0.5:
                masked[place] = words[rng.randint(0, len(words) - 1)]
            chosen.append(place)
    chosen.sort()
    return masked, chosen, [tokens[place] for place in chosen]
