"""Pre-training samples in the formats of Google, NVIDIA and MLPerf, written with h5py and struct from their documented schemas.

usage: foreign_shards.py FOLDER     writes samples.jsonl (what the files hold) and a file of each format; needs h5py
"""

import json
import pathlib
import random
import struct
import sys

import h5py
import numpy as np

ROWS, LENGTH, PREDICTIONS, VOCABULARY = 11, 24, 4, 200


def make_samples():
    rng = random.Random(20)
    samples = []
    for row in range(ROWS):
        tokens = LENGTH if row == 3 else rng.randint(5, LENGTH)
        a = rng.randint(1, tokens - 4)
        ids = [2, *[rng.randint(5, VOCABULARY - 1) for _ in range(a)], 3, *[rng.randint(5, VOCABULARY - 1) for _ in range(tokens - a - 3)], 3]
        predictions = [PREDICTIONS, 0, 1][row] if row < 3 else rng.randint(1, min(PREDICTIONS, tokens - 3))
        positions = sorted(rng.sample([i for i in range(1, tokens) if ids[i] != 3], min(predictions, tokens - 3)))
        samples.append({"input_ids": ids, "segment_ids": [0] * (a + 2) + [1] * (tokens - a - 2), "masked_lm_positions": positions,
                        "masked_lm_ids": [rng.randint(5, VOCABULARY - 1) for _ in positions], "next_sentence_labels": row % 2})
    return samples


def padded(samples, name, width):
    return np.array([sample[name] + [0] * (width - len(sample[name])) for sample in samples])


def write_fixed(path, samples, wide, compression):
    """create_pretraining_data.py of NVIDIA; MLPerf's has int16 for int32."""
    with h5py.File(path, "w") as file:
        def add(name, values, dtype):
            file.create_dataset(name, data=values, dtype=dtype, compression=compression)
        add("input_ids", padded(samples, "input_ids", LENGTH), wide)
        add("input_mask", np.array([[1] * len(s["input_ids"]) + [0] * (LENGTH - len(s["input_ids"])) for s in samples]), "i1")
        add("segment_ids", padded(samples, "segment_ids", LENGTH), "i1")
        add("masked_lm_positions", padded(samples, "masked_lm_positions", PREDICTIONS), wide)
        add("masked_lm_ids", padded(samples, "masked_lm_ids", PREDICTIONS), wide)
        add("next_sentence_labels", np.array([s["next_sentence_labels"] for s in samples]), "i1")


def write_rows(file, name, rows, dtype):
    table = file.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(np.dtype(dtype)))
    for i, row in enumerate(rows):
        table[i] = row


def write_varlength(path, samples):
    with h5py.File(path, "w") as file:
        for name, dtype in (("input_ids", "int16"), ("segment_ids", "int8"), ("masked_lm_positions", "int16"), ("masked_lm_ids", "int16")):
            write_rows(file, name, [sample[name] for sample in samples], dtype)
        file.create_dataset("next_sentence_labels", data=np.array([s["next_sentence_labels"] for s in samples]), dtype="i1")


def write_packed(path, samples):
    packs, rest = [], list(samples)
    for count in (3, 1, 2, 3, 2):
        packs.append(rest[:count])
        rest = rest[count:]
    assert not rest
    with h5py.File(path, "w") as file:
        for name, dtype in (("input_ids", "int16"), ("segment_ids", "int8"), ("masked_lm_ids", "int16")):
            write_rows(file, name, [sum((s[name] for s in pack), []) for pack in packs], dtype)
        offsets = [np.cumsum([0] + [len(s["input_ids"]) for s in pack]) for pack in packs]
        write_rows(file, "masked_lm_positions", [[p + start for s, start in zip(pack, starts) for p in s["masked_lm_positions"]] for pack, starts in zip(packs, offsets)], "int16")
        write_rows(file, "packed_input_len", [[len(s["input_ids"]) for s in pack] for pack in packs], "int16")
        write_rows(file, "packed_masked_lm_len", [[len(s["masked_lm_positions"]) for s in pack] for pack in packs], "int16")
        write_rows(file, "next_sentence_labels", [[s["next_sentence_labels"] for s in pack] for pack in packs], "int8")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked_crc(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def example_of(features, packed):
    """tf.train.Example with the features in any order; protobuf readers have to take lists packed or not."""
    entries = b""
    for name, values in features.items():
        if isinstance(values[0], float):
            data = field(1, struct.pack(f"<{len(values)}f", *values)) if packed else b"".join(varint(1 << 3 | 5) + struct.pack("<f", v) for v in values)
            feature = field(2, data)
        else:
            data = field(1, b"".join(map(varint, values))) if packed else b"".join(varint(1 << 3) + varint(v) for v in values)
            feature = field(3, data)
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def write_tfrecord(path, samples):
    with open(path, "wb") as file:
        for i, s in enumerate(samples):
            def pad(values, width):
                return values + [0] * (width - len(values))
            features = {"masked_lm_weights": [1.0] * len(s["masked_lm_ids"]) + [0.0] * (PREDICTIONS - len(s["masked_lm_ids"])), "input_ids": pad(s["input_ids"], LENGTH),
                        "input_mask": pad([1] * len(s["input_ids"]), LENGTH), "segment_ids": pad(s["segment_ids"], LENGTH), "masked_lm_ids": pad(s["masked_lm_ids"], PREDICTIONS),
                        "masked_lm_positions": pad(s["masked_lm_positions"], PREDICTIONS), "next_sentence_labels": [s["next_sentence_labels"]], "a_feature_of_others": [1 << 62]}
            data = example_of(features, packed=i % 2 == 0)
            length = struct.pack("<Q", len(data))
            file.write(length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data)))


def main():
    folder = pathlib.Path(sys.argv[1])
    samples = make_samples()
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample, separators=(",", ":")) + "\n" for sample in samples))
    write_fixed(folder / "nvidia.hdf5", samples, "i4", "gzip")
    write_fixed(folder / "mlperf.hdf5", samples, "i2", None)
    write_varlength(folder / "varlength.hdf5", samples)
    write_packed(folder / "packed.hdf5", samples)
    write_tfrecord(folder / "google.tfrecord", samples)


main()
