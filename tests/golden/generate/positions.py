"""Logits, losses and every gradient of tiny BERTs with other position embeddings than absolute ones, by transformers 4 in double precision.

usage: positions.py FOLDER     writes pretraining_relative_key, _relative_key_query, _relative_key_value and _sinusoidal .golden into it
transformers 4.57 is the last one to have position_embedding_type. It knows no sinusoids: they are absolute embeddings that are not trained, by the formula of its DistilBERT. Nor does it know
relative_key_value: its attention is here, by the formula of Shaw, Uszkoreit, Vaswani 2018 (arXiv:1803.02155, equations 3 and 4) with one table for keys and values, as MindSpore's
use_relative_positions; row 16 + d of the table is that of query i and key i - d.
"""

import pathlib
import sys
import unittest.mock

import numpy as np
import torch
import transformers
from model import load, make_config, pretraining
from transformers import BertForPreTraining
from transformers.models.bert import modeling_bert

LARGEST_DISTANCE = 16


class KeyValueAttention(modeling_bert.BertSelfAttention):
    def __init__(self, config, **more):
        super().__init__(config, **more)
        self.distance_embedding = torch.nn.Embedding(2 * LARGEST_DISTANCE + 1, self.attention_head_size)

    def forward(self, hidden_states, attention_mask=None, **_):
        query, key, value = (part(hidden_states).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        places = torch.arange(hidden_states.shape[1])
        relative = self.distance_embedding(LARGEST_DISTANCE + (places[:, None] - places).clamp(-LARGEST_DISTANCE, LARGEST_DISTANCE))
        scores = torch.einsum("bhid,bhjd->bhij", query, key) + torch.einsum("bhid,ijd->bhij", query, relative)
        probabilities = (scores / self.attention_head_size**0.5 + attention_mask).softmax(-1)
        context = torch.einsum("bhij,bhjd->bhid", probabilities, value) + torch.einsum("bhij,ijd->bhid", probabilities, relative)
        return context.transpose(1, 2).flatten(2), probabilities


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
    with unittest.mock.patch.dict(modeling_bert.BERT_SELF_ATTENTION_CLASSES, eager=KeyValueAttention):
        clipped = load(BertForPreTraining(make_config("gelu", position_embedding_type="relative_key_value")))
    pretraining(out, "relative_key_value", clipped, hidden_act="gelu", position_embedding_type="relative_key_value")
    sinusoidal = load(BertForPreTraining(make_config("gelu")))
    table = sinusoidal.bert.embeddings.position_embeddings.weight.requires_grad_(False)
    table.copy_(torch.from_numpy(sinusoids(*table.shape).astype(np.float32)))
    pretraining(out, "sinusoidal", sinusoidal, hidden_act="gelu", position_embedding_type="sinusoidal")
