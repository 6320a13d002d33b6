"""Writes tests/unit/interop/fixtures/{pytorch,pytorch_old,pytorch_unchecked}.bin: what torch.save makes of the tensors that pytorch_test.cpp knows.
Needs torch (2.15.0 when the fixtures were made). No randomness, but PyTorch puts an id of its own into the archive, and addresses into the old format.

usage: python tests/golden/generate/pytorch_fixture.py
"""
import collections
import pathlib

import torch

shared = torch.arange(12, dtype=torch.float32)
state = collections.OrderedDict(
    weight=(torch.arange(6, dtype=torch.float32) / 4).reshape(2, 3),
    transposed=torch.arange(6, dtype=torch.float32).reshape(2, 3).t(),
    parameter=torch.nn.Parameter(torch.tensor([-1.5, 0.0, 3.25])),
    first=shared[2:5],
    second=shared.reshape(3, 4)[1:, 1:4:2],
    half=torch.tensor([1.0, -2.0, 65504.0, 2.0**-24], dtype=torch.float16),
    brain=torch.tensor([1.0, -3.0e38], dtype=torch.bfloat16),
    position_ids=torch.arange(4, dtype=torch.int64).expand(1, -1),
    count=torch.tensor(7, dtype=torch.int32),
    bytes=torch.tensor([0, 255, 3], dtype=torch.uint8),
    empty=torch.zeros(0, 5),
)
state._metadata = collections.OrderedDict({"": {"version": 1}})
folder = pathlib.Path(__file__).parents[2] / "unit" / "interop" / "fixtures"
torch.save(state, folder / "pytorch.bin")
torch.save(state, folder / "pytorch_old.bin", _use_new_zipfile_serialization=False)
torch.serialization.set_crc32_options(False)
torch.save(state, folder / "pytorch_unchecked.bin")
for path in sorted(folder.glob("pytorch*.bin")):
    print(path, path.stat().st_size, "bytes")
