"""BERT of "Dive into Deep Learning" by the book's formulas, in PyTorch and double precision: logits, losses and every gradient; and its parameters as both editions of
the book save them.

usage: d2l_fixture.py FOLDER     writes d2l.golden and d2l/{torch,mxnet}/pretrained.params into it
Source of the formulas: d2l-ai/d2l-en, bert.md, transformer.md (EncoderBlock, AddNorm, PositionWiseFFN), multihead-attention.md.
"""

import math
import pathlib
import struct
import sys

import numpy as np
import torch
from golden import weights, write
from model import LENGTHS, MASKED, SIZES, VERSIONS, make_batch, pretraining_labels

V, H, L, A = SIZES["vocab_size"], SIZES["hidden_size"], SIZES["num_hidden_layers"], SIZES["num_attention_heads"]
I, S = SIZES["intermediate_size"], SIZES["max_position_embeddings"]


def parameters():
    """Ours: (name, shape). The numbers of each are golden.py's for our name."""
    dense = lambda name, out, into: {name + ".weight": (out, into), name + ".bias": (out,)}
    norm = lambda name: {name + ".LayerNorm.weight": (H,), name + ".LayerNorm.bias": (H,)}
    shapes = {"bert.embeddings.word_embeddings.weight": (V, H), "bert.embeddings.position_embeddings.weight": (S, H), "bert.embeddings.token_type_embeddings.weight": (2, H)}
    for i in range(L):
        layer = f"bert.encoder.layer.{i}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= dense(f"{layer}attention.{part}", H, H)
        shapes |= norm(layer + "attention.output") | dense(layer + "intermediate.dense", I, H) | dense(layer + "output.dense", H, I) | norm(layer + "output")
    shapes |= dense("bert.pooler.dense", H, H) | dense("cls.predictions.transform.dense", H, H) | norm("cls.predictions.transform")
    return shapes | {"cls.predictions.decoder.weight": (V, H), "cls.predictions.bias": (V,)} | dense("cls.seq_relationship", 2, H)


def book_names(is_gluon):
    """Ours -> the book's."""
    names = {"bert.embeddings.word_embeddings": "encoder.token_embedding", "bert.embeddings.token_type_embeddings": "encoder.segment_embedding",
             "bert.pooler.dense": "hidden" if is_gluon else "hidden.0", "cls.predictions.transform.dense": "mlm.mlp.0",
             "cls.predictions.transform.LayerNorm": "mlm.mlp.1" if is_gluon else "mlm.mlp.2", "cls.seq_relationship": "nsp.output"}
    for i in range(L):
        layer, block = f"bert.encoder.layer.{i}.", f"encoder.blks.{i}."
        names |= {layer + "attention.self.query": block + "attention.W_q", layer + "attention.self.key": block + "attention.W_k",
                  layer + "attention.self.value": block + "attention.W_v", layer + "attention.output.dense": block + "attention.W_o",
                  layer + "attention.output.LayerNorm": block + "addnorm1.ln", layer + "intermediate.dense": block + "ffn.dense1",
                  layer + "output.dense": block + "ffn.dense2", layer + "output.LayerNorm": block + "addnorm2.ln"}
    decoder = "mlm.mlp.2" if is_gluon else "mlm.mlp.3"
    book = {"bert.embeddings.position_embeddings.weight": "encoder.pos_embedding", "cls.predictions.decoder.weight": decoder + ".weight", "cls.predictions.bias": decoder + ".bias"}
    for ours in parameters():
        if ours in book:
            continue
        layer, variable = ours.rsplit(".", 1)
        if is_gluon and "LayerNorm" in layer:
            variable = {"weight": "gamma", "bias": "beta"}[variable]
        book[ours] = f"{names[layer]}.{variable}"
    return book


def book_state(is_gluon):
    book = book_names(is_gluon)
    arrays = {book[name]: weights(name, shape).astype(np.float32) for name, shape in parameters().items()}
    arrays["encoder.pos_embedding"] = arrays["encoder.pos_embedding"][None]
    return arrays


def forward(p, tokens, segments, valid_lens):
    """The book's forward functions one after another, on the PyTorch edition's state dict p."""
    linear = lambda name, x: x @ p[name + ".weight"].T + p[name + ".bias"]
    norm = lambda name, x: torch.nn.functional.layer_norm(x, (H,), p[name + ".weight"], p[name + ".bias"])  # eps 1e-5, the default
    x = p["encoder.token_embedding.weight"][tokens] + p["encoder.segment_embedding.weight"][segments]
    x = x + p["encoder.pos_embedding"][:, : x.shape[1], :]
    outside = torch.arange(x.shape[1])[None, :] >= valid_lens[:, None]
    for i in range(L):
        block = f"encoder.blks.{i}."
        heads = lambda name: linear(block + "attention." + name, x).reshape(*x.shape[:2], A, H // A).transpose(1, 2)
        scores = heads("W_q") @ heads("W_k").transpose(2, 3) / math.sqrt(H // A)
        mixed = torch.softmax(scores.masked_fill(outside[:, None, None, :], -1e6), dim=-1) @ heads("W_v")
        attention = linear(block + "attention.W_o", mixed.transpose(1, 2).reshape(*x.shape))
        y = norm(block + "addnorm1.ln", attention + x)
        x = norm(block + "addnorm2.ln", linear(block + "ffn.dense2", torch.relu(linear(block + "ffn.dense1", y))) + y)
    masked = torch.stack([x[s, place] for s, place in MASKED])
    logits = linear("mlm.mlp.3", norm("mlm.mlp.2", torch.relu(linear("mlm.mlp.0", masked))))
    return logits, linear("nsp.output", torch.tanh(linear("hidden.0", x[:, 0])))


def write_mxnet(path, arrays):
    """NDArray::Save of MXNet 1.7 under np shapes: the list's magic number, arrays, names."""
    data = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for array in arrays.values():
        data += struct.pack("<Iii", 0xF993FACA, 0, array.ndim) + struct.pack(f"<{array.ndim}q", *array.shape) + struct.pack("<iii", 1, 0, 0) + array.astype("<f4").tobytes()
    data += struct.pack("<Q", len(arrays))
    for name in arrays:
        data += struct.pack("<Q", len(name)) + name.encode()
    path.write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    packed, padded = make_batch()
    labels = pretraining_labels(packed)
    state = {name: torch.from_numpy(array).double().requires_grad_() for name, array in book_state(False).items()}
    logits, nsp_logits = forward(state, padded["input_ids"], padded["token_type_ids"], torch.tensor(LENGTHS))
    cross_entropy = torch.nn.CrossEntropyLoss(reduction="sum")
    losses = [cross_entropy(logits, torch.from_numpy(packed["masked_lm_ids"])), cross_entropy(nsp_logits, labels["next_sentence_label"])]
    (losses[0] / len(MASKED) + losses[1] / len(LENGTHS)).backward()
    gradients = {f"gradient.{ours}": state[theirs].grad.reshape(parameters()[ours]).numpy() for ours, theirs in book_names(False).items()}
    results = {"logits": logits.detach().numpy(), "nsp_logits": nsp_logits.detach().numpy(), "loss_sums": np.array([loss.item() for loss in losses])}
    write(out / "d2l.golden", dict(head="pretraining", hidden_act="relu", edition="d2l", **SIZES, **VERSIONS), {**packed, **results, **gradients})
    for edition in ("torch", "mxnet"):
        (out / "d2l" / edition).mkdir(parents=True, exist_ok=True)
    torch.save({name: torch.from_numpy(array) for name, array in book_state(False).items()}, out / "d2l" / "torch" / "pretrained.params")
    write_mxnet(out / "d2l" / "mxnet" / "pretrained.params", book_state(True))
