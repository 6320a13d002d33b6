"""Logits, losses and every gradient of tiny BERTs, and ten steps of training, by PyTorch and transformers in double precision.

usage: model.py FOLDER     writes pretraining_gelu, pretraining_gelu_new, pretraining_relu_steps, classification, regression, tokens and question_answering .golden into it
"""

import pathlib
import sys

import numpy as np
import torch
import transformers
from golden import hashed, weights, write
from transformers import BertConfig, BertForPreTraining, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification

SIZES = dict(vocab_size=61, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40, max_position_embeddings=24, type_vocab_size=2)
LENGTHS = [7, 1, 13, 20]
MASKED = [(0, 1), (0, 6), (1, 0), (2, 3), (2, 4), (2, 11), (3, 0), (3, 19)]  # (sequence, position)
VERSIONS = dict(torch=torch.__version__, transformers=transformers.__version__)


def make_config(hidden_act, **more):
    return BertConfig(**SIZES, hidden_act=hidden_act, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager", **more)


def load(model):
    """Closed-form weights in place of random ones; names are those of the parameters."""
    model = model.double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights(name, tuple(parameter.shape))))
    return model


def make_batch():
    """The same numbers packed (for us) and padded (for transformers). No id is 0: transformers gives the padding's embedding no gradient."""
    total = sum(LENGTHS)
    ids = 1 + (hashed("input_ids", total) + 127) % (SIZES["vocab_size"] - 1)
    types = (hashed("token_type_ids", total) + 127) % 2
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])
    padded = {key: np.zeros((len(LENGTHS), max(LENGTHS)), dtype=np.int64) for key in ("input_ids", "token_type_ids", "attention_mask")}
    for i, length in enumerate(LENGTHS):
        rows = slice(starts[i], starts[i + 1])
        padded["input_ids"][i, :length], padded["token_type_ids"][i, :length], padded["attention_mask"][i, :length] = ids[rows], types[rows], 1
    packed = dict(input_ids=ids, token_type_ids=types, position_ids=np.concatenate([np.arange(n) for n in LENGTHS]), cu_seqlens=starts)
    return packed, {key: torch.from_numpy(value) for key, value in padded.items()}


def pretraining_labels(packed):
    masked_lm_ids = (hashed("masked_lm_ids", len(MASKED)) + 127) % SIZES["vocab_size"]
    packed["masked_lm_positions"] = np.array([packed["cu_seqlens"][s] + p for s, p in MASKED])
    packed["masked_lm_ids"] = masked_lm_ids
    packed["next_sentence_labels"] = np.array([0, 1, 1, 0])
    labels = torch.full((len(LENGTHS), max(LENGTHS)), -100)
    for (s, p), label in zip(MASKED, masked_lm_ids):
        labels[s, p] = int(label)
    return dict(labels=labels, next_sentence_label=torch.from_numpy(packed["next_sentence_labels"]))


def gradients(model):
    """Zeros of what is not trained or not used."""
    return {f"gradient.{name}": (torch.zeros_like(p) if p.grad is None else p.grad).numpy() for name, p in model.named_parameters()}


def pretraining(folder, name, model, **attributes):
    packed, padded = make_batch()
    labels = pretraining_labels(packed)
    output = model(**padded, **labels)
    output.loss.backward()
    rows = torch.stack([output.prediction_logits[s, p] for s, p in MASKED])
    cross_entropy = torch.nn.CrossEntropyLoss(reduction="sum")
    losses = [cross_entropy(rows, torch.from_numpy(packed["masked_lm_ids"])), cross_entropy(output.seq_relationship_logits, labels["next_sentence_label"])]
    tensors = {**packed, "logits": rows.detach().numpy(), "nsp_logits": output.seq_relationship_logits.detach().numpy(),
               "loss_sums": np.array([loss.item() for loss in losses]), **gradients(model)}
    write(folder / f"pretraining_{name}.golden", dict(head="pretraining", **attributes, **SIZES, **VERSIONS), tensors)


def classification(folder, num_labels):
    packed, padded = make_batch()
    packed["labels"] = np.array([2, 0, 1, 2]) if num_labels > 1 else np.array([0.5, 4.25, -1.0, 3.0])
    model = load(BertForSequenceClassification(make_config("gelu", num_labels=num_labels)))
    logits = model(**padded).logits
    target = torch.from_numpy(packed["labels"])
    loss = torch.nn.functional.cross_entropy(logits, target) if num_labels > 1 else torch.nn.functional.mse_loss(logits[:, 0], target)
    check = model(**padded, labels=target).loss
    assert abs(check.item() - loss.item()) < 1e-12, "the mean over sequences is what transformers means"
    loss.backward()
    name = "classification" if num_labels > 1 else "regression"
    tensors = {**packed, "logits": logits.detach().numpy(), "loss_sums": np.array([loss.item() * len(LENGTHS)]), **gradients(model)}
    write(folder / f"{name}.golden", dict(head=name, hidden_act="gelu", num_labels=num_labels, **SIZES, **VERSIONS), tensors)


def tokens(folder, num_labels):
    """Two of three tokens have a label."""
    packed, padded = make_batch()
    labels = (hashed("labels", sum(LENGTHS)) + 127) % num_labels
    labels[np.arange(len(labels)) % 3 == 0] = -100
    packed["labels"] = labels
    model = load(BertForTokenClassification(make_config("gelu", num_labels=num_labels)))
    target = torch.full((len(LENGTHS), max(LENGTHS)), -100)
    for i, (begin, end) in enumerate(zip(packed["cu_seqlens"], packed["cu_seqlens"][1:])):
        target[i, : end - begin] = torch.from_numpy(labels[begin:end])
    output = model(**padded, labels=target)
    output.loss.backward()
    logits = output.logits[padded["attention_mask"].bool()]
    tensors = {**packed, "logits": logits.detach().numpy(), "loss_sums": np.array([output.loss.item() * int((labels >= 0).sum())]), **gradients(model)}
    write(folder / "tokens.golden", dict(head="tokens", hidden_act="gelu", num_labels=num_labels, **SIZES, **VERSIONS), tensors)


def question_answering(folder):
    """Each sequence by itself: of a padded batch, transformers takes the softmax over the padding too."""
    packed, _ = make_batch()
    packed["start_positions"], packed["end_positions"] = np.array([3, 0, 0, 18]), np.array([5, 0, 0, 19])
    model = load(BertForQuestionAnswering(make_config("gelu")))
    logits, sums = [], torch.zeros(2, dtype=torch.double)
    for i in range(len(LENGTHS)):
        rows = slice(packed["cu_seqlens"][i], packed["cu_seqlens"][i + 1])
        inputs = {key: torch.from_numpy(packed[key][rows])[None] for key in ("input_ids", "token_type_ids")}
        places = {key: torch.tensor([int(packed[key][i])]) for key in ("start_positions", "end_positions")}
        output = model(**inputs, **places)
        (output.loss / len(LENGTHS)).backward()
        logits.append(torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1))
        sums += torch.stack([torch.nn.functional.cross_entropy(logits[-1][:, c], places[key][0]) for c, key in enumerate(places)]).detach()
    tensors = {**packed, "logits": torch.cat(logits).detach().numpy(), "loss_sums": sums.numpy(), **gradients(model)}
    write(folder / "question_answering.golden", dict(head="question_answering", hidden_act="gelu", **SIZES, **VERSIONS), tensors)


def training(folder):
    """Ten steps on one batch: AdamW with warm-up, decay of weights only, clipping by the norm of all gradients."""
    packed, padded = make_batch()
    labels = pretraining_labels(packed)
    model = load(BertForPreTraining(make_config("relu")))
    no_decay = lambda name: name.endswith("bias") or "LayerNorm" in name
    named = list(model.named_parameters())
    groups = [dict(params=[p for n, p in named if not no_decay(n)], weight_decay=0.01), dict(params=[p for n, p in named if no_decay(n)], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.999), eps=1e-6)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 3, 12)
    losses, norms = [], []
    for _ in range(10):
        optimizer.zero_grad()
        loss = model(**padded, **labels).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    tensors = {**packed, "losses": np.array(losses), "norms": np.array(norms), **{f"weight.{n}": p.detach().numpy() for n, p in named}}
    write(folder / "pretraining_relu_steps.golden", dict(head="pretraining", hidden_act="relu", **SIZES, **VERSIONS), tensors)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    for hidden_act in ("gelu", "gelu_new"):
        pretraining(out, hidden_act, load(BertForPreTraining(make_config(hidden_act))), hidden_act=hidden_act)
    classification(out, 3)
    classification(out, 1)
    tokens(out, 5)
    question_answering(out)
    training(out)
