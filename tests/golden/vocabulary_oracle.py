#!/usr/bin/env python3
"""`mpibert vocab` beside Hugging Face's trainer on WikiText-2: equal vocabularies, and equal ids of texts. Ends with status 1 at any difference.

usage: vocabulary_oracle.py PROGRAM DATA_FOLDER     needs: pip install tokenizers==0.22.2 transformers
DATA_FOLDER holds wiki/wikitext-2/{train,valid}.txt.gz; without it there is nothing to compare, which is said.

The trainer gives pieces of one character their ids in the order of a hash table (vocabulary_trainer.h), so it is told those ids; how much it differs left to itself is printed.
"""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "generate"))
import vocabulary_peer as peer  # noqa: E402
from transformers import BertTokenizerFast  # noqa: E402

CASES = [({}, {}), ({"vocab_size": 8000, "min_frequency": 5, "limit_alphabet": 60}, {"do_lower_case": False}), ({"vocab_size": 200000, "min_frequency": 1}, {})]


def train(program, text, folder, options, tokenizer):
    flags = ["--cased"] if tokenizer.get("do_lower_case") is False else []
    for name, value in options.items():
        flags += ["--" + name.replace("_", "-"), str(value)]
    subprocess.run([program, "vocab", "--input", str(text), "--format", "lines", "--output", str(folder), *flags], check=True, stdout=subprocess.PIPE)
    return (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()


def ids_of(program, folder, lines):
    run = subprocess.run([program, "tokenize", "--model", str(folder)], input="".join(lines).encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line)["ids"] for line in run.stdout.decode().splitlines()]


def main(program, data):
    wiki = pathlib.Path(data) / "wiki" / "wikitext-2"
    if not wiki.is_dir():
        print(f"SKIPPED: {wiki} is not there")
        return 0
    lines = {name: gzip.open(wiki / f"{name}.txt.gz", "rt", encoding="utf-8").readlines() for name in ("train", "valid")}
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        for number, (options, tokenizer) in enumerate(CASES):
            folder = pathlib.Path(temporary) / str(number)
            ours, theirs = train(program, wiki / "train.txt.gz", folder, options, tokenizer), peer.train(lines["train"], options, tokenizer)
            different = sum(a != b for a, b in zip(ours, theirs)) + abs(len(ours) - len(theirs))
            print(f"{options} {tokenizer}: {len(ours)} tokens, {different} differ", flush=True)
            wrong += different
        left_alone = peer.train(lines["train"], *CASES[0], ties_fixed=False)
        ours = (pathlib.Path(temporary) / "0" / "vocab.txt").read_text(encoding="utf-8").splitlines()
        print(f"left to itself the trainer has {len(set(left_alone) - set(ours))} other tokens, {sum(a != b for a, b in zip(ours, left_alone))} at other ids")

        fast = BertTokenizerFast.from_pretrained(pathlib.Path(temporary) / "1")
        theirs = [fast.encode(line, add_special_tokens=False) for line in lines["valid"]]
        different = sum(a != b for a, b in zip(ids_of(program, pathlib.Path(temporary) / "1", lines["valid"]), theirs, strict=True))
        print(f"{len(theirs)} texts, {different} differ")
        wrong += different
        pair = fast("some words", "and others")
        wrong += pair["token_type_ids"] != sorted(pair["token_type_ids"]) or fast.convert_ids_to_tokens(pair["input_ids"])[0] != "[CLS]"
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
