"""Trains with mpibert and with PyTorch from the same weights on the same batches, and compares.

usage: training_parity.py PROGRAM SAMPLE_FOLDER

1. transformers saves a new BertForPreTraining; mpibert trains it for 50 steps without dropout (2 ranks, 8 slots, static masks, all samples in
   every batch, so that the order says nothing); PyTorch does the same. Every loss agrees within 1e-4, relatively.
2. The checkpoint that comes out loads in transformers without missing or unexpected keys and gives the trained losses again.
3. A fine-tuned checkpoint loads as BertForSequenceClassification, and `predict` gives transformers' probabilities within 1e-4; another as BertForMultipleChoice.
"""
import csv, json, os, shutil, subprocess, sys, tempfile

import h5py, torch
from transformers import AutoTokenizer, BertConfig, BertForMultipleChoice, BertForPreTraining, BertForSequenceClassification

program, sample = sys.argv[1:3]
environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1")
STEPS, RATE, WARMUP, DECAY = 50, 1e-3, 10, 0.01


def mpibert(*words, ranks=1, text=None):
    launcher = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none"] if ranks > 1 else []
    done = subprocess.run([*launcher, program, *map(str, words)], env=environment, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mpibert {words[0]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def padded_batch(shard):
    """All samples of a shard, padded: what transformers takes."""
    ends = shard["offsets"][:]
    count, longest = len(ends) - 1, int((ends[1:] - ends[:-1]).max())
    batch = {name: torch.zeros(count, longest, dtype=torch.long) for name in ("input_ids", "token_type_ids", "attention_mask")}
    labels = torch.full((count, longest), -100)
    marks = shard["prediction_offsets"][:]
    for i in range(count):
        n = int(ends[i + 1] - ends[i])
        batch["input_ids"][i, :n] = torch.tensor(shard["input_ids"][ends[i]:ends[i + 1]].astype("int64"))
        batch["token_type_ids"][i, :n] = torch.tensor(shard["token_type_ids"][ends[i]:ends[i + 1]].astype("int64"))
        batch["attention_mask"][i, :n] = 1
        places = shard["masked_lm_positions"][marks[i]:marks[i + 1]]
        labels[i, places] = torch.tensor(shard["masked_lm_ids"][marks[i]:marks[i + 1]].astype("int64"))
    return dict(batch, labels=labels, next_sentence_label=torch.tensor(shard["next_sentence_labels"][:].astype("int64")))


def torch_losses(model, batch):
    named = list(model.named_parameters())
    plain = [p for n, p in named if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in named if not (n.endswith("bias") or "LayerNorm" in n)]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}], lr=RATE, eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: s / WARMUP if s < WARMUP else max(0.0, (STEPS - s) / (STEPS - WARMUP)))
    losses = []
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def compare_pretraining(folder):
    config = BertConfig(**dict(json.load(open(f"{sample}/model/config.json")), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    torch.manual_seed(0)
    model = BertForPreTraining(config).train()
    model.save_pretrained(f"{folder}/new")
    shutil.copy(f"{sample}/model/vocab.txt", f"{folder}/new")
    mpibert("prepare", "--task", "pretraining", "--input", f"{sample}/corpus.txt", "--vocab", f"{sample}/model/vocab.txt", "--output", f"{folder}/shards",
            "--max-seq-length", 64, "--storage", "samples", "--masking", "static")
    manifest = json.load(open(f"{folder}/shards/manifest.json"))
    assert len(manifest["splits"][0]["shards"]) == 1
    with h5py.File(f"{folder}/shards/{manifest['splits'][0]['shards'][0]['file']}") as shard:
        batch = padded_batch(shard)
    mpibert("pretrain", "--data", f"{folder}/shards", "--model", f"{folder}/new", "--output-dir", f"{folder}/run", "--max-steps", STEPS, "--global-batch-size", len(batch["labels"]),
            "--learning-rate", RATE, "--warmup-steps", WARMUP, "--weight-decay", DECAY, "--slots", 8, "--micro-tokens", 4096, ranks=2)
    ours = [json.loads(line)["loss"] for line in open(f"{folder}/run/metrics.jsonl") if '"loss"' in line]
    theirs = torch_losses(model, batch)
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
    print(f"{STEPS} steps: loss {theirs[0]:.4f} to {theirs[-1]:.4f}, largest relative difference {worst:.1e}")
    assert len(ours) == STEPS and worst <= 1e-4
    loaded, info = BertForPreTraining.from_pretrained(f"{folder}/run/checkpoints/step-{STEPS:08d}", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    with torch.no_grad():
        after = loaded.eval()(**batch).loss.item()
        expected = model.eval()(**batch).loss.item()
    assert abs(after - expected) <= 1e-4 * expected, (after, expected)


def compare_predictions(folder):
    mpibert("finetune", "--task", "mrpc", "--data", f"{sample}/mrpc", "--model", f"{folder}/run", "--output-dir", f"{folder}/tuned", "--max-steps", 60, "--global-batch-size", 16,
            "--learning-rate", 1e-3, "--max-seq-length", 64, ranks=2)
    checkpoint = f"{folder}/tuned/checkpoints/step-00000060"
    model, info = BertForSequenceClassification.from_pretrained(checkpoint, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    pairs = [line.rstrip("\n").split("\t")[3:5] for line in open(f"{sample}/mrpc/dev.tsv", encoding="utf-8-sig")][1:101]
    rows = [json.loads(line) for line in mpibert("predict", "--task", "mrpc", "--model", f"{folder}/tuned", text="".join(f"{a}\t{b}\n" for a, b in pairs)).splitlines()]
    worst = 0.0
    with torch.no_grad():
        for (a, b), row in zip(pairs, rows, strict=True):
            probabilities = model.eval()(**tokenizer(a, b, return_tensors="pt")).logits.softmax(-1)[0]
            worst = max(worst, *(abs(probabilities[i].item() - row["probabilities"][name]) for i, name in model.config.id2label.items()))
    print(f"{len(pairs)} predictions: largest difference of a probability {worst:.1e}")
    assert worst <= 1e-4


def compare_choices(folder):
    mpibert("finetune", "--task", "swag", "--data", f"{sample}/swag", "--model", f"{folder}/run", "--output-dir", f"{folder}/choosing", "--max-steps", 20, "--global-batch-size", 16,
            "--learning-rate", 1e-3, "--max-seq-length", 48, ranks=2)
    checkpoint = f"{folder}/choosing/checkpoints/step-00000020"
    model, info = BertForMultipleChoice.from_pretrained(checkpoint, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    rows = [json.loads(line) for line in mpibert("predict", "--task", "swag", "--data", f"{sample}/swag", "--split", "dev", "--model", f"{folder}/choosing", ranks=2).splitlines()]
    worst = loss = 0.0
    examples = list(csv.DictReader(open(f"{sample}/swag/val.csv", encoding="utf-8")))
    for example, row in zip(examples, rows, strict=True):
        seconds = [f"{example['sent2']} {example[f'ending{i}']}" for i in range(4)]
        encoded = {name: value[None] for name, value in tokenizer([example["sent1"]] * 4, seconds, padding=True, return_tensors="pt").items()}
        with torch.no_grad():
            output = model.eval()(**encoded, labels=torch.tensor([int(example["label"])]))
        probabilities = output.logits.softmax(-1)[0].tolist()
        assert row["label"] == max(range(4), key=probabilities.__getitem__)
        worst = max(worst, *(abs(a - b) for a, b in zip(probabilities, row["probabilities"], strict=True)))
        loss += output.loss.item() / len(examples)
    scored = json.loads(mpibert("evaluate", "--task", "swag", "--data", f"{sample}/swag", "--model", f"{folder}/choosing", "--max-seq-length", 48))
    print(f"{len(rows)} choices: largest difference of a probability {worst:.1e}, losses {scored['loss']:.6f} and {loss:.6f}")
    assert worst <= 1e-4 and abs(scored["loss"] - loss) <= 1e-4


with tempfile.TemporaryDirectory() as scratch:
    compare_pretraining(scratch)
    compare_predictions(scratch)
    compare_choices(scratch)
