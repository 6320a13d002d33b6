#!/usr/bin/env python3
"""Compares tokenizer_driver with Hugging Face's `tokenizers`: ids, type ids, places, word ids. Ends with status 1 at any difference.

usage: tokenizer_oracle.py DRIVER DATA_FOLDER [--strings N] [--seed N] [--all]
--strings: hostile strings for each of 14 choices of vocabulary and options. --all: every line of every text, not 4000 of each, and every scalar as a text too.
DATA_FOLDER holds vocab/*/vocab.txt and texts (.txt, .tsv, .conll, .json, .jsonl, also .gz); without it only small own vocabularies are used.
"""
import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "generate"))
import tokenizers  # noqa: E402
import tokenizers_peer as peer  # noqa: E402

KEYS = ("ids", "type_ids", "offsets", "word_ids", "special_tokens_mask")


class Comparison:
    def __init__(self, driver):
        self.driver, self.differences, self.texts, self.tokens, self.shown = driver, 0, 0, 0, 0

    def compare(self, name, vocab_file, options, requests, folder=None, tokenizer=None):
        """`requests`: (a, b, max_length, truncation). `folder`: the driver reads a model folder instead of the vocabulary and options."""
        tokenizer = tokenizer or peer.build(vocab_file, options)
        lines = "".join(json.dumps({"a": a, "b": b, "max_length": m, "truncation": t}) + "\n" for a, b, m, t in requests)
        run = subprocess.run([self.driver, str(folder or vocab_file), json.dumps(options)], input=lines.encode(), stdout=subprocess.PIPE, check=True)
        answers = run.stdout.decode().splitlines()
        assert len(answers) == len(requests), (name, len(answers), len(requests))
        before, found = self.differences, 0
        for request, line in zip(requests, answers):
            ours, theirs = json.loads(line), peer.encode(tokenizer, *request)
            self.texts += 1
            if "error" in theirs and "error" in ours:
                continue
            same = "fast_path_differs" not in ours and all(ours.get(k) == theirs.get(k) for k in KEYS) and places_agree(request, ours)
            self.tokens += len(theirs.get("ids", []))
            if not same:
                self.report(name, options, request, ours, theirs)
                found += 1
        print(f"{name}: {len(requests)} texts, {self.differences - before} differences", flush=True)

    def report(self, name, options, request, ours, theirs):
        self.differences += 1
        if self.shown >= 20:
            return
        self.shown += 1
        keys = [k for k in KEYS if ours.get(k) != theirs.get(k)]
        print(f"DIFFERENCE {name} {options} {ascii(request)[:300]}")
        for key in keys or ["fast_path_differs", "offsets", "byte_offsets"]:
            print(f"   {key}: ours {str(ours.get(key, ours.get('error')))[:300]}  theirs {str(theirs.get(key, theirs.get('error')))[:300]}")


def places_agree(request, ours):
    """Byte places against character places, for a text alone."""
    if request[2] is not None:
        return True
    byte_of = [0]
    for c in request[0]:
        byte_of.append(byte_of[-1] + len(c.encode()))
    return [byte_of[x] for x in ours["offsets"]] == ours["byte_offsets"]


def alone(texts):
    return [(text, None, None, "longest_first") for text in texts]


def read_text(path):
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    return data.decode("utf-8", "replace")


def files_of(data):
    suffixes = (".txt", ".tsv", ".conll", ".json", ".jsonl", ".gz", "")
    return [p for p in sorted(data.rglob("*")) if p.is_file() and p.suffix in suffixes and not {"vocab", "checkpoints"} & set(p.parts)]


def every_scalar():
    """Alone, between letters, and after a mark, so that classes, case, decomposition and combining classes all show."""
    scalars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    forms = (lambda c: f" {c} ", lambda c: f" a{c}b ", lambda c: f" a\u0316{c}\u0301\u1e94b ")
    return ["".join(form(c) for c in scalars[i:i + 64]) for form in forms for i in range(0, len(scalars), 64)]


def pair_requests(rng, texts, count):
    requests = []
    for _ in range(count):
        a, b = rng.choice(texts), rng.choice([None, rng.choice(texts)])
        strategy = rng.choice(["longest_first", "longest_first", "only_first", "only_second"])
        requests.append((a, b, rng.choice([4, 5, 8, 16, 31, 32, 128]), strategy if b is not None else "longest_first"))
    return requests


ADDED = [{"content": "Yesterday", "special": False, "normalized": True}, {"content": "wo", "special": False, "normalized": False, "single_word": True},
         {"content": "[ENT]", "lstrip": True, "rstrip": True}, {"content": "é中", "special": False, "normalized": True},
         {"content": "a b", "special": False, "normalized": True, "lstrip": True}, {"content": "n\u0301", "special": False, "normalized": False, "rstrip": True},
         {"content": "[MASK]", "lstrip": True}, {"content": "##in", "special": False, "normalized": True, "single_word": True}]


def added_texts(rng, count):
    parts = [t["content"] for t in ADDED] + ["[SEP]", " ", "  ", "\u3000", "a", "YESTERDAY", "yester", "é", "e\u0301", "中", "_", "-", "B", "\u10d0", "7", "\n", "A B"]
    return ["".join(rng.choice(parts) for _ in range(rng.randrange(1, 9))) for _ in range(count)]


def model_folder(comparison, vocab_file, texts, name):
    """transformers and from_model read the same folder."""
    import transformers
    configs = {"plain": {"do_lower_case": True}, "cased": {"do_lower_case": False, "tokenizer_class": "BertTokenizer"},
               "strip": {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}}
    for key, config in configs.items():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "vocab.txt").write_bytes(vocab_file.read_bytes())
            (path / "tokenizer_config.json").write_text(json.dumps(config))
            fast = transformers.BertTokenizerFast.from_pretrained(folder).backend_tokenizer
            comparison.compare(f"{name} from_model {key}", vocab_file, {}, alone(texts), folder=path, tokenizer=fast)
            fast.no_truncation()
            fast.save(str(path / "tokenizer.json"))
            (path / "vocab.txt").unlink()
            (path / "tokenizer_config.json").unlink()
            comparison.compare(f"{name} from_model {key} tokenizer.json", vocab_file, {}, alone(texts), folder=path, tokenizer=fast)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("data")
    parser.add_argument("--strings", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    assert tokenizers.__version__ == "0.22.2", f"the oracle is tokenizers 0.22.2, not {tokenizers.__version__}"
    comparison, rng = Comparison(arguments.driver), random.Random(arguments.seed)
    data = pathlib.Path(arguments.data)
    own = pathlib.Path(__file__).parent / "fixtures" / "tokenizer_vocab.txt"
    vocabularies = {"own": (own, {}), "own cased": (own, {"do_lower_case": False})}
    for folder in sorted((data / "vocab").glob("*/vocab.txt")):
        vocabularies[folder.parent.name] = (folder, {"do_lower_case": folder.parent.name.endswith("uncased")})
    print(f"tokenizers {tokenizers.__version__}, seed {arguments.seed}, vocabularies: {', '.join(vocabularies)}", flush=True)

    switches = [{}, {"do_lower_case": False}, {"do_lower_case": False, "strip_accents": True}, {"strip_accents": False}, {"clean_text": False},
                {"tokenize_chinese_chars": False}, {"match_special_tokens": False}, {"max_input_chars_per_word": 5},
                {"clean_text": False, "do_lower_case": False, "tokenize_chinese_chars": False}]
    largest = vocabularies.get("bert-base-multilingual-cased", (own, {}))[0]
    for options in switches[:5]:
        comparison.compare(f"every scalar {options}", largest, options, alone(every_scalar()))
    if arguments.all:
        comparison.compare("every scalar as a text", largest, {}, alone(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000))
    texts = peer.hostile_texts(arguments.seed, arguments.strings)
    choices = [*vocabularies.items(), *((str(options), (largest, options)) for options in switches[1:])]
    for i, (name, (vocab_file, options)) in enumerate(choices):
        comparison.compare(f"hostile, {name}", vocab_file, options, alone(peer.hostile_texts(arguments.seed + i, arguments.strings)))
    for options in ({}, {"match_special_tokens": False}, {"do_lower_case": False}):
        comparison.compare(f"added tokens {options}", largest, {**options, "added_tokens": ADDED}, alone(texts[:2000] + added_texts(rng, 5000)))
    comparison.compare("pairs", largest, {}, pair_requests(rng, texts, 4000))
    for path in files_of(data) if data.is_dir() else []:
        lines = [line for line in read_text(path).split("\n") if line]
        if path.name.endswith((".json", ".json.gz")):
            lines = [chunk for line in lines for chunk in (line[i:i + 2000] for i in range(0, len(line), 2000))]
        if len(lines) > 4000 and not arguments.all:
            lines = rng.sample(lines, 4000)
        for name in vocabularies if "multilingual" in path.parts else [n for n in vocabularies if n.startswith("bert")]:
            comparison.compare(f"{path.relative_to(data)}, {name}", *vocabularies[name], alone(lines))
        if path.parent.name == "MRPC":
            columns = [line.split("\t") for line in lines if line.count("\t") >= 4]
            comparison.compare(f"{path.name} pairs", *vocabularies["bert-base-uncased"], [(c[3], c[4], m, "longest_first") for c in columns for m in (32, 128)])
    try:
        model_folder(comparison, largest, texts[:1000], "hostile")
    except ImportError:
        print("transformers is not there: model folders are not compared")
    print(f"{comparison.texts} texts, {comparison.tokens} tokens, {comparison.differences} differences")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
