#!/usr/bin/env python3
"""The peer of accuracy.py: Hugging Face's Trainer on the same data, recipe and seeds (needs torch, transformers, accelerate, scikit-learn, scipy, seqeval).

usage: accuracy_trainer.py TASK DATA MODEL OUTPUT [--seeds 42 43 44] [--bf16]     TASK and DATA as accuracy.py

Batches are padded to their longest sequence. Features, labels and scores are those of transformers' example scripts (run_glue.py, run_ner.py, run_qa.py).
Prints one JSON object a seed. OUTPUT/seed-N/initial has the weights that seed N begins with, a new head among them: accuracy.py can begin with the same.
"""
import argparse
import csv
import gzip
import json
import pathlib
import sys
import time

import numpy
import torch
from transformers import (AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, DataCollatorForTokenClassification,
                          DataCollatorWithPadding, Trainer, TrainingArguments, set_seed)

from recipes import RECIPES

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "golden" / "generate"))
import squad_reference

NLI_LABELS = ["contradiction", "entailment", "neutral"]
SENTENCES = {  # task -> ({split: file}, columns of the texts, column of the label, label -> number)
    "mrpc": ({"train": "train.tsv", "dev": "dev.tsv"}, ["#1 String", "#2 String"], "Quality", int),
    "sst2": ({"train": "train.tsv", "dev": "dev.tsv"}, ["sentence"], "label", int),
    "nli": ({"train": "cad_nli_train.tsv", "test": "snli_1.0_test.jsonl.gz"}, ["sentence1", "sentence2"], "gold_label", NLI_LABELS.index),
    "sick": ({"train": "SICK_train.txt", "test": "SICK_test_annotated.txt"}, ["sentence_A", "sentence_B"], "entailment_judgment", lambda label: NLI_LABELS.index(label.lower())),
    "sick-relatedness": ({"train": "SICK_train.txt", "test": "SICK_test_annotated.txt"}, ["sentence_A", "sentence_B"], "relatedness_score", float),
}


class Examples(torch.utils.data.Dataset):
    def __init__(self, features):
        self.features = features

    def __len__(self):
        return len(self.features)

    def __getitem__(self, i):
        return self.features[i]


class Sentences:
    """A sentence or a pair: a class, or a number."""

    def __init__(self, task, data, tokenizer, max_length):
        self.task, self.tokenizer, self.max_length = task, tokenizer, max_length
        self.files, self.columns, self.label, self.number = SENTENCES[task]
        self.folder = data
        self.collator = DataCollatorWithPadding(tokenizer)

    def rows(self, split):
        path = self.folder / self.files[split]
        if ".jsonl" in path.name:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return [row for row in map(json.loads, file) if row[self.label] != "-"]
        with open(path, encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    def examples(self, split):
        rows = self.rows(split)
        encodings = self.tokenizer(*[[row[name] for row in rows] for name in self.columns], truncation=True, max_length=self.max_length)
        return Examples([{**{name: values[i] for name, values in encodings.items()}, "labels": self.number(row[self.label])} for i, row in enumerate(rows)])

    def model(self, folder):
        labels = 1 if self.number is float else 2 if self.number is int else len(NLI_LABELS)
        return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels)

    def scores(self, prediction):
        from scipy.stats import pearsonr, spearmanr
        from sklearn.metrics import accuracy_score, f1_score
        if self.number is float:
            values = prediction.predictions.squeeze(-1)
            return {"pearson": float(pearsonr(values, prediction.label_ids)[0]), "spearmanr": float(spearmanr(values, prediction.label_ids)[0])}
        predicted = prediction.predictions.argmax(-1)
        scores = {"accuracy": float(accuracy_score(prediction.label_ids, predicted))}
        return {**scores, "f1": float(f1_score(prediction.label_ids, predicted))} if self.task == "mrpc" else scores


class Tags:
    """WNUT-17: a label for each word, on its first piece."""

    def __init__(self, task, data, tokenizer, max_length):
        self.folder, self.tokenizer, self.max_length = data, tokenizer, max_length
        self.collator = DataCollatorForTokenClassification(tokenizer)
        self.labels = sorted({tag for _, tags in self.sentences("train") for tag in tags})

    def sentences(self, split):
        sentences, words, tags = [], [], []
        with open(self.folder / f"{split}.conll", encoding="utf-8-sig") as file:
            for line in [*file, "\n"]:
                columns = line.rstrip("\n").split("\t")
                if columns[0].strip():
                    words.append(columns[0])
                    tags.append(columns[-1])
                elif words:
                    sentences.append((words, tags))
                    words, tags = [], []
        return sentences

    def examples(self, split):
        features = []
        for words, tags in self.sentences(split):
            encoding = self.tokenizer(words, is_split_into_words=True, truncation=True, max_length=self.max_length)
            before, labels = None, []
            for word in encoding.word_ids():
                labels.append(-100 if word is None or word == before else self.labels.index(tags[word]))
                before = word
            features.append({**encoding, "labels": labels})
        return Examples(features)

    def model(self, folder):
        return AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(self.labels))

    def scores(self, prediction):
        from seqeval.metrics import f1_score, precision_score, recall_score
        expected, predicted = [], []
        for labels, best in zip(prediction.label_ids, prediction.predictions.argmax(-1)):
            expected.append([self.labels[label] for label in labels if label >= 0])
            predicted.append([self.labels[b] for b, label in zip(best, labels) if label >= 0])
        return {"f1": f1_score(expected, predicted), "precision": precision_score(expected, predicted), "recall": recall_score(expected, predicted)}


class QuestionCollator(DataCollatorWithPadding):
    def __call__(self, features):
        return super().__call__([{name: value for name, value in feature.items() if name not in ("spans", "question")} for feature in features])


class Questions:
    """SQuAD 1.1 by run_qa.py: overlapping windows, the best pair of start and end over all windows of a question."""

    def __init__(self, task, data, tokenizer, max_length):
        self.folder, self.tokenizer, self.max_length = data, tokenizer, max_length
        self.collator = QuestionCollator(tokenizer)

    def examples(self, split):
        name = {"train": "train-v1.1.first12.json.gz", "dev": "dev-v1.1.json.gz"}[split]
        with gzip.open(self.folder / name, "rt", encoding="utf-8") as file:
            articles = json.load(file)["data"]
        self.questions, features = [], []
        for paragraph in (paragraph for article in articles for paragraph in article["paragraphs"]):
            for question in paragraph["qas"]:
                answers = [(answer["text"], answer["answer_start"]) for answer in question["answers"]]
                for ids, types, start, end, spans in squad_reference.run_qa(self.tokenizer, question["question"], paragraph["context"], answers[0], self.max_length, 128):
                    features.append({"input_ids": ids, "token_type_ids": types, "attention_mask": [1] * len(ids), "start_positions": start, "end_positions": end, "spans": spans,
                                     "question": len(self.questions)})
                self.questions.append((paragraph["context"], [text for text, _ in answers]))
        self.features = features
        return Examples(features)

    def model(self, folder):
        return AutoModelForQuestionAnswering.from_pretrained(folder)

    def scores(self, prediction):
        starts, ends = prediction.predictions
        of_question = [[] for _ in self.questions]
        for feature, start, end in zip(self.features, starts, ends, strict=True):
            count = len(feature["input_ids"])
            first = count - 1 - len(feature["spans"])
            of_question[feature["question"]].append((first, feature["spans"], [(float(s), float(e)) for s, e in zip(start[:count], end[:count])]))
        found = [squad_reference.score(squad_reference.n_best_of_run_qa(context, features)["text"], answers, False) for (context, answers), features in zip(self.questions, of_question)]
        exact, f1 = numpy.mean(found, axis=0)
        return {"exact_match": 100 * exact, "f1": 100 * f1}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=RECIPES)
    for name in ("data", "model", "output"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--bf16", action="store_true")
    a = parser.parse_args()
    recipe = RECIPES[a.task]
    kind = {"ner": Tags, "squad": Questions}.get(a.task, Sentences)
    task = kind(a.task, a.data, AutoTokenizer.from_pretrained(a.model), recipe["max_seq_length"])
    train, scored = task.examples("train"), task.examples(recipe["split"])
    scored.features.sort(key=lambda feature: len(feature["input_ids"]))  # scores do not depend on the order; batches of like lengths are padded less
    steps = recipe["epochs"] * -(-len(train) // recipe["batch"])
    for seed in a.seeds:
        set_seed(seed)
        arguments = TrainingArguments(
            output_dir=str(a.output / f"seed-{seed}"), seed=seed, num_train_epochs=recipe["epochs"], per_device_train_batch_size=recipe["batch"], per_device_eval_batch_size=32,
            learning_rate=recipe["rate"], warmup_steps=int(recipe["warmup_ratio"] * steps), bf16=a.bf16, save_strategy="no", report_to=[], logging_steps=100, disable_tqdm=True,
            remove_unused_columns=False, use_cpu=not torch.cuda.is_available(), label_names=["start_positions", "end_positions"] if a.task == "squad" else None)
        model = task.model(a.model)
        for part in (model, task.tokenizer):
            part.save_pretrained(a.output / f"seed-{seed}" / "initial")
        trainer = Trainer(model=model, args=arguments, train_dataset=train, eval_dataset=scored, data_collator=task.collator, compute_metrics=task.scores)
        start = time.time()
        trainer.train()
        scores = trainer.evaluate()
        print(json.dumps({"task": a.task, "seed": seed, "seconds": round(time.time() - start), **{name: scores[f"eval_{name}"] for name in recipe["scores"]}}), flush=True)


if __name__ == "__main__":
    main()
