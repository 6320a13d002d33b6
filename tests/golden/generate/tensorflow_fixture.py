"""Checkpoints by TensorFlow's own writers, of the weights that golden.py's models have.

usage: tensorflow_fixture.py FOLDER     writes into it
  bert_model.ckpt.*      Google's names, with some slots of its optimizer and the step; the model of pretraining_gelu.golden
  parts.ckpt.*           two shards, with numbers of every dtype that is read
  old.ckpt               the first version of the format, one file
Needs tensorflow (2.21 when the fixtures were made).
"""

import os
import pathlib
import re
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from golden import weights

V, H, L, I, S = 61, 16, 2, 40, 24  # as SIZES of model.py


def parameters():
    """Names and shapes of BertForPreTraining."""
    layer_norm = lambda name: [(name + ".LayerNorm.weight", (H,)), (name + ".LayerNorm.bias", (H,))]
    dense = lambda name, out, into: [(name + ".weight", (out, into)), (name + ".bias", (out,))]
    shapes = [("bert.embeddings.word_embeddings.weight", (V, H)), ("bert.embeddings.position_embeddings.weight", (S, H)), ("bert.embeddings.token_type_embeddings.weight", (2, H))]
    shapes += layer_norm("bert.embeddings")
    for i in range(L):
        layer = f"bert.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            shapes += dense(f"{layer}.attention.self.{part}", H, H)
        shapes += dense(f"{layer}.attention.output.dense", H, H) + layer_norm(f"{layer}.attention.output")
        shapes += dense(f"{layer}.intermediate.dense", I, H) + dense(f"{layer}.output.dense", H, I) + layer_norm(f"{layer}.output")
    shapes += dense("bert.pooler.dense", H, H) + dense("cls.predictions.transform.dense", H, H) + layer_norm("cls.predictions.transform")
    return shapes + [("cls.predictions.bias", (V,))] + dense("cls.seq_relationship", 2, H)


def googles(name, array):
    """The variable of modeling.py and run_pretraining.py that holds a parameter."""
    if name.startswith("cls.seq_relationship") or name == "cls.predictions.bias":
        return re.sub(r"\.(weight|bias)$", lambda m: "/output_" + {"weight": "weights", "bias": "bias"}[m[1]], name).replace(".", "/"), array
    if "LayerNorm" in name:
        return name.replace(".weight", ".gamma").replace(".bias", ".beta").replace("layer.", "layer_").replace(".", "/"), array
    if "embeddings.weight" in name:
        return name.removesuffix(".weight").replace(".", "/"), array
    variable = name.replace("layer.", "layer_").replace(".", "/")
    return (variable.replace("/weight", "/kernel"), array.T) if array.ndim == 2 else (variable, array)


def save(path, make_variables, **options):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        make_variables()
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(**options).save(session, str(path), write_meta_graph=False, write_state=False)


def variable(name, value):
    return tf.compat.v1.get_variable(name, initializer=tf.constant(value), use_resource=False)


def model():
    for name, shape in parameters():
        theirs, array = googles(name, weights(name, shape).astype(np.float32))
        variable(theirs, np.ascontiguousarray(array))
        if name.startswith("bert.embeddings"):
            variable(theirs + "/adam_m", np.full(array.shape, 0.5, np.float32))
            variable(theirs + "/adam_v", np.full(array.shape, 0.25, np.float32))
    variable("global_step", np.int64(1000))


def parts():
    with tf.device("/cpu:0"):
        variable("a/float", np.arange(6, dtype=np.float32).reshape(2, 3))
        variable("half", np.array([1.0, -2.0], np.float16))
        variable("long", np.array([-5, 2**40], np.int64))
    with tf.device("/cpu:1"):
        variable("a/int", np.array([7], np.int32))
        tf.compat.v1.get_variable("brain", initializer=tf.cast(tf.constant([1.0, -3.0]), tf.bfloat16), use_resource=False)
        variable("bytes", np.array([0, 255, 3], np.uint8))
        variable("empty", np.zeros((0, 5), np.float32))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    save(out / "bert_model.ckpt", model)
    save(out / "parts.ckpt", parts, sharded=True)
    save(out / "old.ckpt", lambda: variable("a", np.zeros(2, np.float32)), write_version=tf.compat.v1.train.SaverDef.V1)
    for path in sorted(out.iterdir()):
        print(path, path.stat().st_size, "bytes")
