"""Our TFRecord and HDF5 files as the programs that they are for read them, and what those programs write read by us. Ends with status 1 at any difference.

usage: foreign_live.py PROGRAM SAMPLE_FOLDER     SAMPLE_FOLDER: datasets/sample

Needs h5py and numpy. The readers here follow run_pretraining.py of NVIDIA (DeepLearningExamples) and of MLPerf's submissions: the first 0 in masked_lm_positions ends the predictions;
labels stand at their positions, all others are ignored; files are those with "training" or "part" in their names.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

LENGTH, PREDICTIONS = 64, 10


def run(program, *arguments):
    return json.loads(subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def files_of(folder, mark):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if os.path.isfile(os.path.join(folder, name)) and mark in name]


def ours(folder):
    """Samples of the flat shards: (ids, types, mask, labels at their places or -1, next sentence label), padded."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in manifest["splits"][0]["shards"]:
        with h5py.File(folder / shard["file"]) as file:
            starts, predictions = file["offsets"][:], file["prediction_offsets"][:]
            for i in range(len(starts) - 1):
                tokens, chosen = slice(starts[i], starts[i + 1]), slice(predictions[i], predictions[i + 1])
                yield padded_sample(file["input_ids"][tokens], file["token_type_ids"][tokens], file["masked_lm_positions"][chosen], file["masked_lm_ids"][chosen], file["next_sentence_labels"][i])


def padded_sample(ids, types, positions, labels, next_sentence):
    row = np.zeros((4, LENGTH), np.int64)
    row[0, :len(ids)], row[1, :len(ids)], row[2, :len(ids)] = ids, types, 1
    row[3] = -1
    row[3, positions] = labels
    return row, int(next_sentence)


class Fixed:
    """pretraining_dataset of DeepLearningExamples: whole arrays, rows cast to int64."""

    def __init__(self, path):
        with h5py.File(path, "r") as file:
            self.inputs = [np.asarray(file[key][:]) for key in ("input_ids", "input_mask", "segment_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels")]

    def __len__(self):
        return len(self.inputs[0])

    def __getitem__(self, i):
        ids, mask, types, positions, labels, next_sentence = [np.asarray(table[i].astype(np.int64)) for table in self.inputs]
        targets = np.full(LENGTH, -1)
        count = PREDICTIONS
        zeros = np.flatnonzero(positions == 0)
        if len(zeros):
            count = zeros[0]
        targets[positions[:count]] = labels[:count]
        return np.stack([ids, types, mask, targets]), int(next_sentence)


class Varlength:
    """pretraining_dataset of MLPerf: rows of variable length, padded when they are taken. Ignored places are 0 there, here -1."""

    def __init__(self, path):
        with h5py.File(path, "r") as file:
            self.inputs = [np.asarray(file[key][:]) for key in ("input_ids", "segment_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels")]

    def __len__(self):
        return len(self.inputs[0])

    def __getitem__(self, i):
        return padded_sample(*[table[i].astype(np.int64) for table in self.inputs])


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def check_crc(data, stored):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    assert (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF == struct.unpack("<I", stored)[0], "checksum"


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        assert tag & 7 == 2, "only lists and messages are expected"
        size, at = varint(data, at)
        yield tag >> 3, data[at:at + size]
        at += size


def tf_examples(path):
    data = pathlib.Path(path).read_bytes()
    at = 0
    while at < len(data):
        size = struct.unpack_from("<Q", data, at)[0]
        check_crc(data[at:at + 8], data[at + 8:at + 12])
        record = data[at + 12:at + 12 + size]
        check_crc(record, data[at + 12 + size:at + 16 + size])
        at += 16 + size
        features = {}
        for _, entry in fields(next(fields(record))[1]):
            (_, key), (_, feature) = fields(entry)
            (kind, numbers), = fields(feature)
            (_, packed), = fields(numbers)
            if kind == 2:
                values = list(struct.unpack(f"<{len(packed) // 4}f", packed))
            else:
                values, place = [], 0
                while place < len(packed):
                    value, place = varint(packed, place)
                    values.append(value)
            features[key.decode()] = values
        yield features


def tf_sample(features):
    """input_fn_builder of Google's run_pretraining.py has these lengths; weights of 0 count for nothing."""
    lengths = dict(input_ids=LENGTH, input_mask=LENGTH, segment_ids=LENGTH, masked_lm_positions=PREDICTIONS, masked_lm_ids=PREDICTIONS, masked_lm_weights=PREDICTIONS, next_sentence_labels=1)
    assert {name: len(values) for name, values in features.items()} == lengths
    targets = np.full(LENGTH, -1)
    for position, label, weight in zip(features["masked_lm_positions"], features["masked_lm_ids"], features["masked_lm_weights"]):
        if weight:
            targets[position] = label
    return np.stack([features["input_ids"], features["segment_ids"], features["input_mask"], targets]), features["next_sentence_labels"][0]


def read(format, folder):
    if format == "tfrecord":
        return [tf_sample(features) for path in files_of(folder, "part") for features in tf_examples(path)]
    reader = Varlength if format == "mlperf-varlength" else Fixed
    return [dataset[i] for path in files_of(folder, "training" if format == "nvidia" else "part") for dataset in [reader(path)] for i in range(len(dataset))]


DTYPES = {"nvidia": ["i4", "i1", "i1", "i4", "i4", "i1"], "mlperf": ["i2", "i1", "i1", "i2", "i2", "i1"]}


def main():
    program, sample = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        run(program, "prepare", "--task", "pretraining", "--input", sample / "corpus.txt", "--model", sample / "model", "--output", work / "ours", "--storage", "samples", "--masking", "static", "--max-seq-length",
            LENGTH, "--max-predictions-per-seq", PREDICTIONS, "--shard-samples", 150)
        expected = list(ours(work / "ours"))
        for format in ("tfrecord", "nvidia", "mlperf", "mlperf-varlength"):
            said = run(program, "shards", "--input", work / "ours", "--to", format, "--output", work / format)
            found = read(format, work / format / "train")
            assert said["splits"]["train"]["samples"] == len(found) == len(expected), format
            for i, ((rows, label), (expected_rows, expected_label)) in enumerate(zip(found, expected)):
                assert np.array_equal(rows, expected_rows) and label == expected_label, f"{format}: sample {i}"
            if format in DTYPES:
                with h5py.File(files_of(work / format / "train", "t")[0]) as file:
                    names = ("input_ids", "input_mask", "segment_ids", "masked_lm_positions", "masked_lm_ids", "next_sentence_labels")
                    assert [file[n].dtype for n in names] == DTYPES[format] and {file[n].compression for n in names} == {"gzip" if format == "nvidia" else None}
            print(f"{format}: {len(found)} samples equal")


main()
