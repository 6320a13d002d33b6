#!/usr/bin/env python3
"""Fine-tunes a pretrained model on real data with several seeds and prints the scores of each and their mean; its peer is accuracy_trainer.py.

usage: accuracy.py TASK PROGRAM DATA MODEL OUTPUT [--seeds 42 43 44] [--ranks 2] [--precision bf16] [--device cpu] [-- more options of mpibert finetune]

TASK is one of recipes.py, DATA its folder of raw files. Where scores are of the dev set, `evaluate` with the model of the first seed must give what `finetune` ended with, and on mrpc and sst2 `predict` must give the same accuracy.
MODEL may have {seed} in it, as OUTPUT/seed-{seed}/initial of accuracy_trainer.py: then both begin with the same weights.
With --ranks 1 the two slots of two ranks are kept, so the bits are those of two ranks.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from recipes import RECIPES

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = {"mrpc": (["#1 String", "#2 String"], "Quality"), "sst2": (["sentence"], "label")}


def training_data(task, data, output):
    """(options of finetune, options of evaluate) that name the data."""
    if task == "nli":
        columns = ["--text-column", "sentence1", "--second-text-column", "sentence2", "--label-column", "gold_label"]
        return (["--task", "pair-classification", "--data", data / "cad_nli_train.tsv", "--dev-data", data / "cad_nli_dev.tsv", *columns],
                ["--task", "snli", "--data", data])
    if task == "squad":
        folder = output / "squad"
        folder.mkdir(exist_ok=True)
        for name, file in (("train-v1.1.json.gz", "train-v1.1.first12.json.gz"), ("dev-v1.1.json.gz", "dev-v1.1.json.gz")):
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to((data / file).resolve())
        data = folder
    options = ["--task", task, "--data", data]
    return options, options


def last_json(command):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def predicted_accuracy(task, data, output, run, program, computing):
    texts, label = COLUMNS[task]
    with open(data / "dev.tsv", encoding="utf-8-sig", newline="") as file:
        header, *rows = [line.rstrip("\r\n").split("\t") for line in file]
    (output / "texts").write_text("".join("\t".join(row[header.index(name)] for name in texts) + "\n" for row in rows))
    command = [program, "predict", "--task", task, "--model", run, "--input", output / "texts", *computing]
    lines = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    best = [max(range(len(p)), key=list(p.values()).__getitem__) for p in (json.loads(line)["probabilities"] for line in lines)]
    return sum(b == int(row[header.index(label)]) for b, row in zip(best, rows, strict=True)) / len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=RECIPES)
    for name in ("program", "data", "model", "output"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--device", default="cpu")
    arguments = sys.argv[1:]
    more = arguments[arguments.index("--") + 1:] if "--" in arguments else []
    a = parser.parse_args(arguments[:len(arguments) - len(more) - 1] if more else arguments)
    recipe = RECIPES[a.task]
    a.output.mkdir(parents=True, exist_ok=True)
    launch = [ROOT / "launch/local.sh", a.ranks, a.program]
    computing = ["--precision", a.precision, "--device", a.device]
    data, scored = training_data(a.task, a.data, a.output)
    rows = []
    for seed in a.seeds:
        run = a.output / f"seed-{seed}"
        trained = last_json([*launch, "finetune", *data, "--model", str(a.model).format(seed=seed), "--output-dir", run, "--seed", seed, "--num-epochs", recipe["epochs"],
                             "--global-batch-size", recipe["batch"], "--learning-rate", recipe["rate"], "--warmup-ratio", recipe["warmup_ratio"], "--max-seq-length",
                             recipe["max_seq_length"], "--slots", 2, "--evaluate-steps", 1000000, "--report-steps", 50, *computing, *more])
        row = {name: trained.get(f"eval_{name}") for name in recipe["scores"]}
        if recipe["split"] != "dev" or seed == a.seeds[0]:
            evaluated = last_json([*launch, "evaluate", *scored, "--split", recipe["split"], "--model", run, "--max-seq-length", recipe["max_seq_length"], *computing])
            if recipe["split"] == "dev" and any(evaluated[name] != score for name, score in row.items()):
                sys.exit(f"finetune says {row}, evaluate {evaluated}")
            row = evaluated
        if a.task in COLUMNS:
            accuracy = predicted_accuracy(a.task, a.data, a.output, run, a.program, computing)
            if abs(row["accuracy"] - accuracy) > 1e-9:
                sys.exit(f"evaluate says accuracy {row['accuracy']}, predict {accuracy}")
        rows.append(row)
        print(json.dumps({"task": a.task, "seed": seed, **{name: row[name] for name in recipe["scores"]}}), flush=True)
    for name in recipe["scores"]:
        values = [row[name] for row in rows]
        print(f"{name:11} mean {statistics.mean(values):.4f}  deviation {statistics.stdev(values) if len(values) > 1 else 0.0:.4f}  " + " ".join(f"{v:.4f}" for v in values))


if __name__ == "__main__":
    main()
