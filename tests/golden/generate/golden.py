"""What the generators share: exact closed-form weights, and the file format that tests/support/fixture.h reads."""

import numpy as np


def hashed(name, count):
    """`count` whole numbers from -127 to 127: splitmix64 of (FNV-1a of the name) + index. The C++ twin is hashed_numbers() of tests/support/fixture.h."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(32)).astype(np.int64) % 255 - 127


def weights(name, shape):
    """Of a model: k / 256; of a layer norm 1 + k / 256 rounded to 64ths. All are exact in bf16, so that precision is that of the computation alone."""
    k = hashed(name, int(np.prod(shape))).reshape(shape)
    if name.endswith("LayerNorm.weight"):
        return 1 + np.trunc(k / 4) / 64
    return k / 256


def write(path, attributes, tensors):
    """Lines of text, an empty line, then the numbers one after another, little-endian: fp32, or int32 where the array holds whole numbers."""
    lines, data = ["mpibert-fixture 1"], b""
    lines += [f"attribute {key} {value}" for key, value in attributes.items()]
    for name, array in tensors.items():
        array = np.asarray(array)
        kind = "int32" if array.dtype.kind in "iu" else "fp32"
        data += array.astype("<i4" if kind == "int32" else "<f4").tobytes()
        lines.append(" ".join(["tensor", name, kind, *map(str, array.shape)]))
    with open(path, "wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode() + data)
    print(path, 4 * sum(np.asarray(a).size for a in tensors.values()), "bytes")
