"""Features of labelled tasks beside transformers' own, live, on whole data sets: ids, token types and labels of every sample. Ends with status 1 at any difference.

usage: features_oracle.py PROGRAM MODEL DATA_FOLDER     MODEL: a folder with vocab.txt; DATA_FOLDER as MPIBERT_DATA

Needs transformers and h5py. `prepare` makes shards of the raw files as they are; the expected features are made as run_glue.py and run_ner.py make them.
"""
import csv
import glob
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import transformers

MAX_LENGTH = 48  # some sequences are cut
NLI = ["entailment", "neutral", "contradiction"]  # numbers of the hub's snli; SICK's are the same
TASKS = {  # task -> (folder, {split: file}, columns of the texts, column of the label, label -> number)
    "mrpc": ("glue/MRPC", {"train": "train.tsv", "dev": "dev.tsv"}, ["#1 String", "#2 String"], "Quality", int),
    "sst2": ("glue/SST-2", {"train": "train.tsv", "dev": "dev.tsv"}, ["sentence"], "label", int),
    "snli": ("snli", {"dev": "snli_1.0_dev.jsonl.gz", "test": "snli_1.0_test.jsonl.gz"}, ["sentence1", "sentence2"], "gold_label", NLI.index),
    "sick": ("snli", {"train": "SICK_train.txt", "dev": "SICK_trial.txt", "test": "SICK_test_annotated.txt"}, ["sentence_A", "sentence_B"], "entailment_judgment", lambda name: NLI.index(name.lower())),
    "sick-relatedness": ("snli", {"train": "SICK_train.txt", "test": "SICK_test_annotated.txt"}, ["sentence_A", "sentence_B"], "relatedness_score", float),
}


def text_of(path):
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") if path.suffix == ".gz" else open(path, encoding="utf-8-sig", newline="") as file:
        return file.read()


def rows_of(path):
    lines = text_of(path).split("\n")
    if ".jsonl" in path.name:
        return [json.loads(line) for line in lines if line]
    return list(csv.DictReader((line.rstrip("\r") for line in lines if line), delimiter="\t", quoting=csv.QUOTE_NONE))


def prepared(program, task, folder, model, work):
    """{split: [(ids, types, label or labels)]} of shards."""
    output = work / task
    subprocess.run([program, "prepare", "--task", task, "--input", folder, "--model", model, "--output", output, "--max-seq-length", str(MAX_LENGTH)], check=True, capture_output=True)
    manifest = json.loads((output / "manifest.json").read_text())
    features = {}
    for split in manifest["splits"]:
        if not split["labels"]:
            continue  # a test set of GLUE
        features[split["name"]] = mine = []
        for shard in split["shards"]:
            with h5py.File(output / shard["file"]) as file:
                ids, types, labels, offsets = (file[name][:].tolist() for name in ("input_ids", "token_type_ids", split["labels"].split(":")[0], "offsets"))
            for i, (begin, end) in enumerate(zip(offsets, offsets[1:])):
                mine.append((ids[begin:end], types[begin:end], labels[begin:end] if task == "ner" else labels[i]))
    return features, manifest["label_names"]


def compare(name, found, expected):
    wrong = [i for i, (mine, theirs) in enumerate(zip(found, expected)) if mine != theirs]
    print(f"{name}: {len(expected)} compared, {len(wrong) + abs(len(found) - len(expected))} differences", flush=True)
    if wrong:
        print(f"  the first, sample {wrong[0]}:\n  {found[wrong[0]]}\n  {expected[wrong[0]]}")
    return bool(wrong) or len(found) != len(expected)


def sentences(program, tokenizer, model, data, work):
    failed = False
    for task, (folder, files, columns, label, number) in TASKS.items():
        mine, names = prepared(program, task, data / folder, model, work)
        assert number is not NLI.index or names == NLI, names
        for split, file in files.items():
            rows = [row for row in rows_of(data / folder / file) if row[label] != "-"]
            encoded = tokenizer(*[[row[column] for row in rows] for column in columns], truncation=True, max_length=MAX_LENGTH)
            expected = [(ids, types, number(row[label])) for ids, types, row in zip(encoded["input_ids"], encoded["token_type_ids"], rows)]
            found = mine[split]
            if number is float:
                found = [(ids, types, round(value, 5)) for ids, types, value in found]
            failed |= compare(f"{task} {split}", found, expected)
    return failed


def tagged(path):
    words, tags = [], []
    for line in [*text_of(path).split("\n"), ""]:
        columns = line.rstrip("\r").split("\t")
        if line.strip("\ufeff \t"):  # WNUT-17's dev file ends with a line that is a byte-order mark
            words.append(columns[0])
            tags.append(columns[-1])
        elif words:
            yield words, tags
            words, tags = [], []


def entities(program, tokenizer, model, data, work):
    """Of sentences that fit; longer ones run_ner.py cuts off, where mpibert goes on in windows. A word without tokens is [UNK] here and lost there."""
    failed = False
    for name, folder, files in (("wnut17", "ner/wnut17", {split: f"{split}.conll" for split in ("train", "dev", "test")}), ("wikiann", "ner/wikiann_en", {split: f"{split}.gz" for split in ("train", "dev", "test")})):
        raw = work / name
        raw.mkdir()
        for split, file in files.items():
            (raw / (split + (".conll.gz" if file.endswith(".gz") else ".conll"))).symlink_to((data / folder / file).resolve())
        mine, labels = prepared(program, "ner", raw, model, raw)
        for split, file in files.items():
            expected, long = [], set()
            for words, tags in tagged(data / folder / file):
                words = [word if tokenizer.tokenize(word) else "[UNK]" for word in words]
                encoded = tokenizer(words, is_split_into_words=True)
                before, aligned = None, []
                for word in encoded.word_ids():
                    aligned.append(-100 if word is None or word == before else labels.index(tags[word]))
                    before = word
                if len(encoded["input_ids"]) <= MAX_LENGTH:
                    expected.append((encoded["input_ids"], encoded["token_type_ids"], aligned))
                else:
                    long.add(len(expected))
            # Windows of a longer sentence stand between its neighbours: what is left without them must be the rest.
            found, rest = [], iter(mine[split])
            for theirs in expected:
                found.append(next((sample for sample in rest if sample == theirs), None))
            failed |= compare(f"{name} {split} (and {len(long)} places with longer sentences)", found, expected)
    return failed


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    program, model, data = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    transformers.logging.set_verbosity_error()
    if not (data / "glue").is_dir():
        sys.exit(f"SKIPPED: no {data}/glue")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    with tempfile.TemporaryDirectory() as work:
        failed = sentences(program, tokenizer, model, data, pathlib.Path(work))
        failed |= entities(program, tokenizer, model, data, pathlib.Path(work))
    sys.exit(failed)


if __name__ == "__main__":
    main()
