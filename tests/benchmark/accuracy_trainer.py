#!/usr/bin/env python3
"""The peer of accuracy.sh: Hugging Face's Trainer on the same task, recipe and seeds (needs torch, transformers and accelerate).

usage: accuracy_trainer.py mrpc|sst2 DATA MODEL OUTPUT [--seeds 42 43 44] [--num-epochs 3] [--global-batch-size 16] [--learning-rate 5e-5] [--bf16]

AdamW without decay, norms clipped at 1, a rate that falls linearly to 0, batches padded to their longest sequence of at most 128 tokens. Prints one JSON object a seed.
"""
import argparse
import csv
import json
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

COLUMNS = {"mrpc": (["#1 String", "#2 String"], "Quality"), "sst2": (["sentence"], "label")}


def read(path, task):
    texts, label = COLUMNS[task]
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [[row[name] for row in rows] for name in texts], [int(row[label]) for row in rows]


class Examples(torch.utils.data.Dataset):
    def __init__(self, path, task, tokenizer):
        texts, self.labels = read(path, task)
        self.encodings = tokenizer(*texts, truncation=True, max_length=128)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {**{name: values[i] for name, values in self.encodings.items()}, "labels": self.labels[i]}


def scores(prediction):
    predicted, labels = prediction.predictions.argmax(-1), prediction.label_ids
    true_positive = int(((predicted == 1) & (labels == 1)).sum())
    return {"accuracy": float((predicted == labels).mean()), "f1": 2 * true_positive / max(1, int((predicted == 1).sum() + (labels == 1).sum()))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("task", "data", "model", "output"):
        parser.add_argument(name, choices=COLUMNS if name == "task" else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--num-epochs", type=float, default=3)
    parser.add_argument("--global-batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    train, dev = (Examples(f"{options.data}/{split}.tsv", options.task, tokenizer) for split in ("train", "dev"))
    for seed in options.seeds:
        set_seed(seed)
        arguments = TrainingArguments(
            output_dir=f"{options.output}/seed-{seed}", seed=seed, num_train_epochs=options.num_epochs, per_device_train_batch_size=options.global_batch_size,
            learning_rate=options.learning_rate, bf16=options.bf16, save_strategy="no", report_to=[], logging_steps=100, disable_tqdm=True, use_cpu=not torch.cuda.is_available())
        trainer = Trainer(model=AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=2), args=arguments, train_dataset=train, eval_dataset=dev,
                          data_collator=DataCollatorWithPadding(tokenizer), compute_metrics=scores)
        start = time.time()
        trainer.train()
        print(json.dumps({"task": options.task, "seed": seed, "seconds": round(time.time() - start), **trainer.evaluate()}), flush=True)


if __name__ == "__main__":
    main()
