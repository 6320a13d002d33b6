"""`prepare --rng python` beside the reference script's algorithm (generate/google_reference.py), on texts, sample by sample. Ends with status 1 at any difference.

usage: google_live.py PROGRAM MODEL TEXT...     MODEL: a folder with vocab.txt of an uncased model; TEXT: files of one sentence a line

Needs h5py and transformers, whose tokenizer stands for the script's: of English text both give the same tokens.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent / "generate"))
from google_reference import Options, documents_of, instances_of  # noqa: E402

CASES = [
    Options(dupe_factor=2),
    Options(dupe_factor=3, do_whole_word_mask=True, random_seed=7, max_seq_length=64),
    Options(dupe_factor=1, short_seq_prob=0.9, max_seq_length=512, max_predictions_per_seq=80, random_seed=0),
    Options(dupe_factor=1, short_seq_prob=0.5, max_seq_length=16, max_predictions_per_seq=3, do_whole_word_mask=True),
]


def prepared(program, model, texts, options, output):
    words = ["prepare", "--task", "pretraining", "--rng", "python", "--storage", "samples", "--masking", "static", "--input", *texts, "--model", model, "--output", output, "--max-seq-length", options.max_seq_length,
             "--max-predictions-per-seq", options.max_predictions_per_seq, "--short-seq-prob", options.short_seq_prob, "--masked-lm-prob", options.masked_lm_prob, "--dupe-factor",
             options.dupe_factor, "--seed", options.random_seed, *(["--whole-word-mask"] if options.do_whole_word_mask else [])]
    subprocess.run([program, *map(str, words)], check=True, capture_output=True)
    samples = []
    for shard in json.loads((output / "manifest.json").read_text())["splits"][0]["shards"]:
        with h5py.File(output / shard["file"]) as file:
            names = ("input_ids", "token_type_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels")
            ids, types, positions, labels, next_sentence = [file[name][:].tolist() for name in names]
            starts, predictions = file["offsets"][:].tolist(), file["prediction_offsets"][:].tolist()
        for i in range(len(next_sentence)):
            tokens, chosen = slice(starts[i], starts[i + 1]), slice(predictions[i], predictions[i + 1])
            samples.append((ids[tokens], types[tokens], positions[chosen], labels[chosen], next_sentence[i]))
    return samples


def main():
    program, model, texts = sys.argv[1], sys.argv[2], sys.argv[3:]
    tokenizer = transformers.BertTokenizerFast.from_pretrained(model)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    documents = documents_of([pathlib.Path(text).read_text(encoding="utf-8") for text in texts], tokenizer.tokenize)
    for options in CASES:
        with tempfile.TemporaryDirectory() as work:
            compare(program, model, texts, documents, vocabulary, options, pathlib.Path(work), tokenizer)
            alone = pathlib.Path(work) / "one.txt"
            lines = [line for text in texts for line in pathlib.Path(text).read_text(encoding="utf-8").split("\n") if line.strip()][:60]
            alone.write_text("\n".join(lines) + "\n", encoding="utf-8")
            compare(program, model, [alone], documents_of([alone.read_text(encoding="utf-8")], tokenizer.tokenize), vocabulary, options, pathlib.Path(work), tokenizer)


def compare(program, model, texts, documents, vocabulary, options, work, tokenizer):
    found = prepared(program, model, texts, options, work / f"shards-{len(documents)}")
    ids = tokenizer.convert_tokens_to_ids
    expected = [(ids(e.tokens), e.segment_ids, e.masked_lm_positions, ids(e.masked_lm_labels), int(e.is_random_next)) for e in instances_of(documents, vocabulary, options)]
    assert len(found) == len(expected), (len(found), len(expected))
    for i, pair in enumerate(zip(found, expected)):
        assert pair[0] == pair[1], f"sample {i} with {options}: {pair}"
    print(f"{len(documents)} documents, {options}: {len(found)} instances equal")


main()
