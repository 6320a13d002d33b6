"""TensorFlow's own reader takes what `mpibert convert --to tf` writes: every variable, bit for bit.

usage: python tests/golden/tensorflow_live.py MPIBERT FIXTURES     FIXTURES: tests/golden/fixtures/tensorflow

Needs tensorflow. Exit status 0 if everything agrees.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

CONFIG = dict(vocab_size=61, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40, max_position_embeddings=24)


def convert(mpibert, source, form, output):
    done = subprocess.run([mpibert, "convert", "--from", source, "--to", form, "--output", output], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def main(mpibert, fixtures):
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "googles").mkdir()
        for file in fixtures.glob("bert_model.ckpt.*"):
            shutil.copy(file, root / "googles")
        (root / "googles" / "bert_config.json").write_text(json.dumps(CONFIG))
        convert(mpibert, root / "googles", "safetensors", root / "safetensors")
        convert(mpibert, root / "safetensors", "tf", root / "back")
        theirs, ours = (tf.train.load_checkpoint(str(root / folder / "bert_model.ckpt")) for folder in ("googles", "back"))
        names = [name for name in theirs.get_variable_to_shape_map() if "adam_" not in name and name != "global_step"]
        assert sorted(ours.get_variable_to_shape_map()) == sorted(names)
        for name in names:
            assert np.array_equal(theirs.get_tensor(name), ours.get_tensor(name)) and theirs.get_tensor(name).dtype == ours.get_tensor(name).dtype, name
        print(f"{len(names)} variables agree, TensorFlow {tf.__version__}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
