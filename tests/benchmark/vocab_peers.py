#!/usr/bin/env python3
"""`mpibert vocab` beside `BertWordPieceTokenizer.train` of Hugging Face's `tokenizers`, as processes, in turn: wall seconds, medians, ratio, as JSON.

usage: vocab_peers.py PROGRAM NAME=TEXT... [--runs N] [--threads N] [--ranks N]     needs: pip install tokenizers
TEXT is a plain text file, one text a line. Both sides read the file, train 30,522 tokens with the same options and write what they made; the times are of the whole
processes, for Python without starting it and importing the library. mpibert runs as one rank of --threads threads, or with --ranks as so many ranks of one thread.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

PEER = """
import json, sys, time, tokenizers
trained = tokenizers.BertWordPieceTokenizer()
start = time.perf_counter()
trained.train([sys.argv[1]], vocab_size=30522, show_progress=False)
trained.save(sys.argv[2])
print(json.dumps({"seconds": time.perf_counter() - start, "tokens": trained.get_vocab_size(), "tokenizers": tokenizers.__version__}))
"""


def run_peer(text, folder, threads):
    environment = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    return json.loads(subprocess.run([sys.executable, "-c", PEER, text, str(folder / "peer.json")], env=environment, stdout=subprocess.PIPE, check=True).stdout)


def run_ours(program, text, folder, threads, ranks):
    command = [program, "vocab", "--input", text, "--format", "lines", "--output", str(folder / "ours"), "--overwrite"]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--oversubscribe", *command]
    start = time.perf_counter()
    run = subprocess.run(["env", f"OMP_NUM_THREADS={1 if ranks > 1 else threads}", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - start
    return {**json.loads(run.stdout), "seconds": seconds}


def processor():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else "unknown"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=1)
    arguments = parser.parse_args()
    result = {"processor": processor(), "threads": arguments.threads, "ranks": arguments.ranks, "texts": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, _, path in (text.partition("=") for text in arguments.texts):
            ours, theirs = [], []
            for _ in range(arguments.runs):
                ours.append(run_ours(arguments.program, path, folder, arguments.threads, arguments.ranks))
                theirs.append(run_peer(path, folder, arguments.threads))
            medians = [statistics.median(run["seconds"] for run in runs) for runs in (ours, theirs)]
            result["texts"].append({"text": name, "bytes": pathlib.Path(path).stat().st_size, "words": ours[0]["words"], "distinct_words": ours[0]["distinct_words"],
                                    "tokens": [ours[0]["tokens"], theirs[0]["tokens"]], "tokenizers": theirs[0]["tokenizers"], "mpibert_seconds": [run["seconds"] for run in ours],
                                    "tokenizers_seconds": [run["seconds"] for run in theirs], "medians": medians, "ratio": medians[1] / medians[0]})
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
