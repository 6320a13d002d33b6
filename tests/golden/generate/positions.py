"""Logits, losses and every gradient of tiny BERTs with other position embeddings than absolute ones, by transformers 4 in double precision.

usage: positions.py FOLDER     writes pretraining_relative_key, pretraining_relative_key_query and pretraining_sinusoidal .golden into it
transformers 4.57 is the last one to have position_embedding_type. It knows no sinusoids: they are absolute embeddings that are not trained, by the formula of its DistilBERT.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers
from model import load, make_config, pretraining
from transformers import BertForPreTraining


def sinusoids(rows, columns):
    angles = np.arange(rows)[:, None] / np.power(10000, 2 * (np.arange(columns) // 2) / columns)[None]
    return np.where(np.arange(columns) % 2 == 0, np.sin(angles), np.cos(angles))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not transformers.__version__.startswith("4."):
        sys.exit(f"{__doc__}\nfound transformers {transformers.__version__}")
    out = pathlib.Path(sys.argv[1])
    for kind in ("relative_key", "relative_key_query"):
        relative = load(BertForPreTraining(make_config("gelu", position_embedding_type=kind)))
        pretraining(out, kind, relative, hidden_act="gelu", position_embedding_type=kind)
    sinusoidal = load(BertForPreTraining(make_config("gelu")))
    table = sinusoidal.bert.embeddings.position_embeddings.weight.requires_grad_(False)
    table.copy_(torch.from_numpy(sinusoids(*table.shape).astype(np.float32)))
    pretraining(out, "sinusoidal", sinusoidal, hidden_act="gelu", position_embedding_type="sinusoidal")
