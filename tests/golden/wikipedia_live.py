#!/usr/bin/env python3
"""usage: wikipedia_live.py WIKIPEDIA_DRIVER EXTRACTS [--pages N] [--show N]

Articles of EXTRACTS (a folder of WikiExtractor's output) with markup put back (generate/mediawiki.py), read by mpibert and by WikiExtractor, which this Python has: the lines that differ
are at most 2 %. --show prints so many of them.
"""
import argparse
import difflib
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "generate"))
import mediawiki

LARGEST_SHARE = 0.02


def differences(theirs, ours):
    """The pairs of runs of lines that are not equal."""
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    return [(theirs[a:b], ours[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("driver")
    parser.add_argument("extracts")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dump = pathlib.Path(folder) / "dump.xml"
        dump.write_text(mediawiki.make_dump(args.extracts, args.pages, args.seed), encoding="utf-8")
        theirs = {article["title"]: article["text"].splitlines() for article in mediawiki.wikiextractor(dump)}
        out = subprocess.run([args.driver, str(dump)], check=True, capture_output=True, text=True).stdout
        ours = {article["title"]: article["text"].splitlines() for article in map(json.loads, out.splitlines())}
    if list(theirs) != list(ours):
        sys.exit(f"other articles: {set(theirs) ^ set(ours)}")
    lines = differing = shown = 0
    for title, text in theirs.items():
        lines += len([line for line in text if line.strip()])
        for a, b in differences([line.strip() for line in text if line.strip()], [line.strip() for line in ours[title]]):
            differing += max(len(a), len(b))
            if shown < args.show:
                shown += 1
                print(f"{title}\n  WikiExtractor: {a}\n  mpibert:       {b}")
    share = differing / lines
    print(f"{len(theirs)} articles, {lines} lines, {differing} differ: {100 * share:.2f} %")
    if share > LARGEST_SHARE or lines < 1000:
        sys.exit(1)


if __name__ == "__main__":
    main()
