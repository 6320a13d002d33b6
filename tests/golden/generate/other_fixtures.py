"""Small files of MXNet and MindSpore by their formats' descriptions, seeds of the fuzz targets: writes tests/unit/interop/fixtures/{mxnet.params,mindspore.ckpt}.

usage: python tests/golden/generate/other_fixtures.py
"""

import pathlib
import struct


def array(version, dims, dtype, data):
    return struct.pack("<Iii", version, 0, len(dims)) + struct.pack(f"<{len(dims)}q", *dims) + struct.pack("<iii", 1, 0, dtype) + data


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value if isinstance(value, bytes) else varint(number << 3) + varint(value)


def value(name, dims, kind, data):
    return field(1, field(1, name.encode()) + field(2, b"".join(field(1, dim) for dim in dims) + field(2, kind.encode()) + field(3, data)))


arrays = {"encoder.blks.0.ffn.dense1.weight": array(0xF993FACA, (2, 3), 0, struct.pack("<6f", *range(6))), "half": array(0xF993FAC9, (2,), 2, b"\0\x3c\0\xc0"),
          "long": array(0xF993FACA, (), 6, struct.pack("<q", -5)), "empty": array(0xF993FACA, (0, 5), 0, b"")}
mxnet = struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays.values()) + struct.pack("<Q", len(arrays))
mxnet += b"".join(struct.pack("<Q", len(name)) + name.encode() for name in arrays)
mindspore = value("bert.embeddings.word_embeddings.embedding_table", (2, 3), "Float32", struct.pack("<6f", *range(6)))
mindspore += value("half", (2,), "Float16", b"\0\x3c\0\xc0") + value("global_step", (0,), "Int32", struct.pack("<i", 7)) + value("bytes", (3,), "UInt8", b"\0\xff\3")
folder = pathlib.Path(__file__).parents[2] / "unit" / "interop" / "fixtures"
for name, data in {"mxnet.params": mxnet, "mindspore.ckpt": mindspore}.items():
    (folder / name).write_bytes(data)
    print(folder / name, len(data), "bytes")
