#!/usr/bin/env python3
"""`mpibert vocab` beside `BertWordPieceTokenizer.train` of Hugging Face's `tokenizers`, in turn: wall seconds, medians, ratios, as JSON.

usage: vocab_peers.py PROGRAM NAME=TEXT... [--runs N] [--threads N] [--ranks N]     needs: pip install tokenizers
TEXT is a plain text file, one text a line. Both sides read the file, train 30,522 tokens with the same options and write what they made. "training" is that alone, "process" also the
start of the program and of MPI, or of Python and its imports. mpibert runs as one rank of --threads threads, or with --ranks as so many ranks of one thread.
"""
import argparse
import json
import os
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
    return timed([sys.executable, "-c", PEER, text, str(folder / "peer.json")], {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"})


def run_ours(program, text, folder, threads, ranks):
    command = [program, "vocab", "--input", text, "--format", "lines", "--output", str(folder / "ours"), "--overwrite"]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--oversubscribe", *command]
    return timed(command, {"OMP_NUM_THREADS": str(1 if ranks > 1 else threads)})


def timed(command, environment):
    start = time.perf_counter()
    run = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True)
    process = time.perf_counter() - start
    result = json.loads(run.stdout)
    return {**result, "training": result["seconds"], "process": process}


def compared(ours, theirs, what):
    seconds = {name: [run[what] for run in runs] for name, runs in (("mpibert", ours), ("tokenizers", theirs))}
    return {**seconds, "ratio": statistics.median(seconds["tokenizers"]) / statistics.median(seconds["mpibert"])}


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
            result["texts"].append({"text": name, "bytes": pathlib.Path(path).stat().st_size, "words": ours[0]["words"], "distinct_words": ours[0]["distinct_words"],
                                    "tokens": [ours[0]["tokens"], theirs[0]["tokens"]], "tokenizers": theirs[0]["tokenizers"],
                                    "training": compared(ours, theirs, "training"), "process": compared(ours, theirs, "process")})
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
