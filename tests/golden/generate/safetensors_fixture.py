"""Writes tests/unit/interop/fixtures/library.safetensors: what the safetensors library makes of the tensors that safetensors_test.cpp
writes too. Needs torch and safetensors (0.8.0 when the fixture was made). No randomness.

usage: python tests/golden/generate/safetensors_fixture.py
"""
import pathlib

import torch
from safetensors.torch import save

tensors = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    "bias": torch.tensor([-1.5, 0.0, 3.25]),
    "half": torch.tensor([1.0, -2.0, 65504.0, 2.0**-24], dtype=torch.float16),
    "brain": torch.tensor([1.0, -3.0e38], dtype=torch.bfloat16),
    "position_ids": torch.arange(4, dtype=torch.int64).reshape(1, 4),
    "count": torch.tensor(7, dtype=torch.int32),
    "bytes": torch.tensor([0, 255, 3], dtype=torch.uint8),
    "empty": torch.zeros(0, 5),
    'odd "name"\n\u00fc': torch.tensor([2.5]),
}
path = pathlib.Path(__file__).parents[2] / "unit" / "interop" / "fixtures" / "library.safetensors"
path.write_bytes(save(tensors, metadata={"format": "pt"}))
print(path, path.stat().st_size, "bytes")
