"""Checkpoints by TensorFlow's own writers, of the weights that golden.py's models have.

usage: tensorflow_fixture.py FOLDER     writes into it
  bert_model.ckpt.*      Google's names, with some slots of its optimizer and the step; the model of pretraining_gelu.golden
  parts.ckpt.*           two shards, with numbers of every dtype that is read
  garden.ckpt.*          the same model as the TensorFlow model garden names it, by tf.train.Checkpoint
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


def garden(path):
    """Objects of bert_pretrainer.py; heads are dimensions of their own."""
    heads = 2
    value = lambda name, *shape: weights(name, dict(parameters())[name]).astype(np.float32).reshape(shape or dict(parameters())[name])
    node = lambda **children: tf.train.Checkpoint(**{name: tf.Variable(child) if isinstance(child, np.ndarray) else child for name, child in children.items()})
    norm = lambda name: node(gamma=value(name + ".weight"), beta=value(name + ".bias"))
    dense = lambda name: node(kernel=value(name + ".weight").T, bias=value(name + ".bias"))
    encoder = {"layer_with_weights-1": node(embeddings=value("bert.embeddings.position_embeddings.weight")),
               "layer_with_weights-2": node(embeddings=value("bert.embeddings.token_type_embeddings.weight")),
               "layer_with_weights-3": norm("bert.embeddings.LayerNorm"),
               f"layer_with_weights-{L + 4}": node(kernel=np.zeros((H, H), np.float32), bias=np.zeros(H, np.float32))}  # not trained
    for i in range(L):
        layer = f"bert.encoder.layer.{i}."
        split = lambda name: node(kernel=value(name + ".weight").T.reshape(H, heads, H // heads), bias=value(name + ".bias", heads, H // heads))
        joined = node(kernel=value(layer + "attention.output.dense.weight").T.reshape(heads, H // heads, H), bias=value(layer + "attention.output.dense.bias"))
        attention = {f"_{part}_dense": split(f"{layer}attention.self.{part}") for part in ("query", "key", "value")}
        outside = {"_attention_output_dense": joined} if i == 0 else {}  # both forms were published
        encoder[f"layer_with_weights-{4 + i}"] = node(
            _attention_layer=node(**attention, **({} if outside else {"_output_dense": joined})), **outside, _attention_layer_norm=norm(layer + "attention.output.LayerNorm"),
            _intermediate_dense=dense(layer + "intermediate.dense"), _output_dense=dense(layer + "output.dense"), _output_layer_norm=norm(layer + "output.LayerNorm"))
    masked_lm = node(dense=dense("cls.predictions.transform.dense"), layer_norm=norm("cls.predictions.transform.LayerNorm"),
                     embedding_table=value("bert.embeddings.word_embeddings.weight"), **{"output_bias/bias": value("cls.predictions.bias")})
    items = {"encoder": node(**encoder), "masked_lm": masked_lm, "next_sentence.pooler_dense": dense("bert.pooler.dense")}
    tf.train.Checkpoint(**items).write(str(path))


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
    garden(out / "garden.ckpt")
    save(out / "parts.ckpt", parts, sharded=True)
    save(out / "old.ckpt", lambda: variable("a", np.zeros(2, np.float32)), write_version=tf.compat.v1.train.SaverDef.V1)
    for path in sorted(out.iterdir()):
        print(path, path.stat().st_size, "bytes")
