"""A multiple choice as transformers has it: features of run_swag.py's rows; logits, loss and every gradient of a tiny BertForMultipleChoice in double precision.

usage: multiple_choice.py FOLDER     writes multiple_choice.golden, and multiple_choice_features.jsonl for the vocabulary tokenizer_vocab.txt of that folder
"""

import json
import pathlib
import random
import sys

import numpy as np
import torch
from golden import hashed, write
from model import SIZES, VERSIONS, gradients, load, make_config
from token_features import WORDS
from transformers import BertForMultipleChoice, BertTokenizerFast

CHOICES = 3
LENGTHS = [[7, 1, 13], [20, 5, 11]]  # of the choices of two samples
LABELS = [2, 0]


def model(folder):
    starts = np.concatenate([[0], np.cumsum(np.ravel(LENGTHS))])
    ids = 1 + (hashed("input_ids", starts[-1]) + 127) % (SIZES["vocab_size"] - 1)  # no id is 0: transformers gives the padding's embedding no gradient
    types = (hashed("token_type_ids", starts[-1]) + 127) % 2
    shape = (len(LENGTHS), CHOICES, np.max(LENGTHS))
    padded = {key: torch.zeros(shape, dtype=torch.long) for key in ("input_ids", "token_type_ids", "attention_mask")}
    for i, (begin, end) in enumerate(zip(starts, starts[1:])):
        place = (i // CHOICES, i % CHOICES, slice(0, end - begin))
        padded["input_ids"][place], padded["token_type_ids"][place], padded["attention_mask"][place] = torch.from_numpy(ids[begin:end]), torch.from_numpy(types[begin:end]), 1
    bert = load(BertForMultipleChoice(make_config("gelu")))
    output = bert(**padded, labels=torch.tensor(LABELS))
    output.loss.backward()
    tensors = dict(input_ids=ids, token_type_ids=types, position_ids=np.concatenate([np.arange(n) for n in np.ravel(LENGTHS)]), cu_seqlens=starts, labels=np.array(LABELS),
                   logits=output.logits.detach().numpy().reshape(-1, 1), loss_sums=np.array([output.loss.item() * len(LABELS)]), **gradients(bert))
    write(folder / "multiple_choice.golden", dict(head="multiple_choice", hidden_act="gelu", choices=CHOICES, **SIZES, **VERSIONS), tensors)


def features(folder):
    """As preprocess_function of run_swag.py: the context with the beginning and each ending, a space between."""
    tokenizer = BertTokenizerFast(vocab=str(folder / "tokenizer_vocab.txt"))
    draw = random.Random(23)
    text = lambda most: " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, most)))
    with open(folder / "multiple_choice_features.jsonl", "w") as file:
        for i in range(24):
            row = dict(context=text(12), beginning=text(3), endings=[text(10) for _ in range(2 + i % 4)], max_seq_length=[12, 24, 64][i % 3])
            seconds = [f"{row['beginning']} {ending}" for ending in row["endings"]]
            encoded = tokenizer([row["context"]] * len(seconds), seconds, truncation=True, max_length=row["max_seq_length"])
            print(json.dumps(dict(**row, input_ids=encoded["input_ids"], token_type_ids=encoded["token_type_ids"])), file=file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model(pathlib.Path(sys.argv[1]))
    features(pathlib.Path(sys.argv[1]))
