#!/usr/bin/env python3
"""Times tokenizer_benchmark beside Hugging Face's `tokenizers`, in turn, one thread each, in CPU seconds, and writes ratios of medians as JSON.

usage: tokenizer_peers.py TOKENIZER_BENCHMARK DATA_FOLDER PYTHON... [--repeats N] [--output FILE]
Each PYTHON has some version of `tokenizers`, which gets lists of 1000 lines: encode_batch_fast for ids, encode_batch for places. Texts, of DATA_FOLDER:
English sentences (enwiki_extracted and books, every fourth), the Universal Declaration of Human Rights in 12 languages, Chinese Wikipedia's paragraphs.
"first" is one pass of a thread that has seen no word yet, "again" are passes after it. The peer remembers nothing between lines, so it has one number.
"""
import argparse
import gzip
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import training_step

LANGUAGES = ("arb", "cmn_hans", "ell_polytonic", "fra", "heb", "hin", "jpn", "kor", "rus", "tam", "tha", "vie")
CASES = (("English", "english", "bert-base-uncased"), ("English, cased", "english", "bert-base-cased"),
         ("12 languages", "languages", "bert-base-uncased"), ("12 languages, cased", "languages", "bert-base-multilingual-cased"),
         ("Chinese", "chinese", "bert-base-multilingual-cased"))


def lines_of(paths):
    for path in paths:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        yield from (line for line in text.split("\n") if line.strip() and not line.startswith(("<doc", "</doc")))


def paragraphs(lines_of_book):
    return re.sub(r"(?<=\S)\n(?=\S)", " ", "\n".join(lines_of_book)).split("\n")


def texts_of(data):
    wiki, books = lines_of(sorted((data / "wiki/enwiki_extracted").rglob("*.gz"))), []
    for path in sorted((data / "books").glob("*.gz")):
        books += paragraphs(gzip.decompress(path.read_bytes()).decode().splitlines())
    sentences = [s for line in (*wiki, *books) for s in re.split(r"(?<=[.!?])\s+", line) if s]
    return {"english": sentences[::4], "languages": list(lines_of(data / f"multilingual/udhr/{name}.txt" for name in LANGUAGES)),
            "chinese": list(lines_of(sorted((data / "wiki/zhwiki_extracted").rglob("*.gz"))))[::4]}


def time_peer(vocab_file, cased, text_file):
    """In a process of its own: {"version", "tokens", "ids": MB/s, "places": MB/s}."""
    import tokenizers
    tokenizer = tokenizers.BertWordPieceTokenizer(vocab_file, lowercase=not cased)._tokenizer
    lines = pathlib.Path(text_file).read_text().split("\n")[:-1]
    result = {"version": tokenizers.__version__, "tokens": 0}
    for key, encode in (("ids", tokenizer.encode_batch_fast), ("places", tokenizer.encode_batch)):
        encode(lines[:100], add_special_tokens=False)
        seconds = 0.0
        for i in range(0, len(lines), 1000):
            batch = lines[i:i + 1000]
            begin = time.process_time()
            encodings = encode(batch, add_special_tokens=False)
            seconds += time.process_time() - begin
            result["tokens"] += sum(len(e) for e in encodings) if key == "ids" else 0
        result[key] = os.path.getsize(text_file) / seconds / 1e6
    return result


def time_ours(program, vocab_file, cased, text_file):
    environment = {**os.environ, "MPIBERT_BENCHMARK_TEXT": text_file, "MPIBERT_BENCHMARK_VOCAB": vocab_file}
    environment.pop("MPIBERT_BENCHMARK_CASED", None)
    if cased:
        environment["MPIBERT_BENCHMARK_CASED"] = "1"
    command = [program, "--benchmark_filter=tokenize", "--benchmark_min_time=0.2", "--benchmark_format=json"]
    runs = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout)["benchmarks"]
    names = {"ids": "ids again", "ids_first": "ids first", "places": "places again", "places_first": "places first"}
    result = {names[run["name"].split("/")[1]]: os.path.getsize(text_file) / run["cpu_time"] / 1e3 for run in runs}  # milliseconds
    return {**result, "tokens": round(runs[0]["tokens"])}


def measure(arguments, case, text_file, vocab_file):
    ours, peers = [], {python: [] for python in arguments.pythons}
    cased = "" if "uncased" in vocab_file else "cased"
    for _ in range(arguments.repeats):
        ours.append(time_ours(arguments.program, vocab_file, cased, text_file))
        for python, runs in peers.items():
            command = [python, __file__, "--peer", vocab_file, cased, text_file]
            environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
            runs.append(json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout))
            assert runs[-1]["tokens"] == ours[-1]["tokens"], (case, runs[-1], ours[-1])
    result = {"case": case, "vocabulary": pathlib.Path(vocab_file).parent.name, "bytes": os.path.getsize(text_file), "tokens": ours[0]["tokens"],
              "mpibert_MB_per_s": {key: [run[key] for run in ours] for key in ours[0] if key != "tokens"}, "peers": []}
    for runs in peers.values():
        medians = {key: statistics.median(run[key] for run in runs) for key in ("ids", "places")}
        ratios = {key: statistics.median(run[key] for run in ours) / medians[key.split()[0]] for key in result["mpibert_MB_per_s"]}
        result["peers"].append({"tokenizers": runs[0]["version"], **{f"{key}_MB_per_s": [run[key] for run in runs] for key in medians}, "ratios": ratios})
        print(f"{case}: tokenizers {runs[0]['version']}:", ", ".join(f"{key} {ratio:.1f}x" for key, ratio in ratios.items()), flush=True)
    print(f"{case}: MB/s:", ", ".join(f"{key} {statistics.median(v):.0f}" for key, v in result["mpibert_MB_per_s"].items()), flush=True)
    return result


def main():
    if sys.argv[1:2] == ["--peer"]:
        print(json.dumps(time_peer(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("pythons", nargs="+")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cases", default="", help="only cases whose names begin so")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    texts, results = texts_of(arguments.data), []
    with tempfile.TemporaryDirectory() as folder:
        for case, name, vocabulary in CASES:
            if not case.startswith(arguments.cases):
                continue
            path = pathlib.Path(folder) / name
            path.write_text("\n".join(texts[name]) + "\n")
            results.append(measure(arguments, case, str(path), str(arguments.data / "vocab" / vocabulary / "vocab.txt")))
    if arguments.output:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=pathlib.Path(__file__).parent, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        header = {"date": time.strftime("%Y-%m-%d"), "commit": commit, "machine": training_step.machine(), "repeats": arguments.repeats, "clock": "CPU seconds of one thread"}
        arguments.output.write_text(json.dumps({**header, "tokenizer": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
