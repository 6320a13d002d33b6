#!/usr/bin/env python3
"""usage: repeat_corpus.py DATA OUTPUT MEGABYTES

Writes MEGABYTES of English text in the form of WikiExtractor's output: the documents of DATA/wiki/enwiki_extracted and the books of DATA/books, again and again, with the number of the copy in the
title and behind every fourth paragraph, so that no two documents are equal. Files of 64 MiB, every third compressed."""
import glob
import gzip
import pathlib
import re
import sys

FILE_BYTES = 64 << 20


def documents(data):
    for path in sorted(glob.glob(f"{data}/wiki/enwiki_extracted/*/*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for body in re.findall(r"<doc [^>]*>\n(.*?)\n</doc>", file.read(), re.DOTALL):
                yield [line for line in body.split("\n")[1:] if line.strip()]
    for path in sorted(glob.glob(f"{data}/books/*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", file.read())]
        for begin in range(0, len(paragraphs), 200):
            yield [paragraph for paragraph in paragraphs[begin:begin + 200] if paragraph]


def copies(texts):
    copy = 0
    while True:
        for i, paragraphs in enumerate(texts):
            lines = [f"{line} This is copy {copy} of document {i}." if n % 4 == 0 else line for n, line in enumerate(paragraphs)]
            yield f'<doc id="{copy}-{i}" url="" title="{copy} {i}">\n{copy} {i}\n\n' + "\n\n".join(lines) + "\n</doc>\n"
        copy += 1


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    data, output, left = sys.argv[1], pathlib.Path(sys.argv[2]), int(float(sys.argv[3]) * 1e6)
    output.mkdir(parents=True, exist_ok=True)
    source, number = copies([paragraphs for paragraphs in documents(data) if paragraphs]), 0
    while left > 0:
        path = output / (f"wiki_{number:03}.gz" if number % 3 == 2 else f"wiki_{number:03}")
        with (gzip.open(path, "wb", compresslevel=4) if path.suffix else open(path, "wb")) as file:
            written = 0
            while written < min(FILE_BYTES, left):
                text = next(source).encode()
                file.write(text)
                written += len(text)
        left -= written
        number += 1


if __name__ == "__main__":
    main()
