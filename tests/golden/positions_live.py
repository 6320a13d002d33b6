"""Sinusoidal and relative positions beside transformers 4, live: checkpoints of `mpibert pretrain` load there whole and give the same vectors,
and its own models do here.

usage: python tests/golden/positions_live.py MPIBERT SAMPLE_FOLDER

Needs torch and transformers 4, the last to know position_embedding_type. Exit status 0 if all vectors are within 1e-5.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers

TOLERANCE = 1e-5


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def pretrain(mpibert, sample, work, kind):
    """Three steps of the sample's model with such positions; the checkpoint."""
    config = json.loads((sample / "model" / "config.json").read_text())
    (work / f"{kind}.json").write_text(json.dumps(config | {"position_embedding_type": kind, "initializer_range": 0.2}))
    run(mpibert, "pretrain", "--data", work / "shards", "--model", work / f"{kind}.json", "--output-dir", work / kind, "--max-steps", 3, "--global-batch-size", 16,
        "--learning-rate", "1e-2")
    return work / kind / "checkpoints" / "step-00000003"


def of_transformers(sample, work, kind):
    """A random model of theirs."""
    torch.manual_seed(3)
    config = transformers.BertConfig.from_json_file(sample / "model" / "config.json")
    config.position_embedding_type, config.initializer_range = kind, 0.2
    folder = work / f"theirs-{kind}"
    transformers.BertForPreTraining(config).save_pretrained(folder)
    for file in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(sample / "model" / file, folder / file)
    return folder


def compare(mpibert, folder, texts, **more):
    model, info = transformers.BertForPreTraining.from_pretrained(folder, output_loading_info=True, **more)
    left = {key: value for key, value in info.items() if value}
    assert not left, f"{folder}: {left}"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    worst = 0
    ours = run(mpibert, "predict", "--pipeline", "feature-extraction", "--model", folder, *(word for text in texts for word in ("--text", text))).splitlines()
    for line, text in zip(ours, texts, strict=True):
        with torch.no_grad():
            theirs = model.eval().bert(**tokenizer(text, return_tensors="pt", truncation=True, max_length=model.config.max_position_embeddings)).last_hidden_state
        found = torch.tensor(json.loads(line))
        assert found.shape == theirs.shape, f"{found.shape} and {theirs.shape}"
        worst = max(worst, (found - theirs).abs().max().item())
    assert worst < TOLERANCE, f"{folder}: vectors differ by {worst}"
    print(f"{folder.parent.parent.name if folder.name.startswith('step') else folder.name}: {len(texts)} texts, vectors within {worst:.1e}")


def main(mpibert, sample):
    transformers.logging.set_verbosity_error()
    lines = [line for line in (sample / "corpus.txt").read_text().splitlines() if line]
    texts = ["bread", *lines[:6], " ".join(lines[:40])]  # the last one is as long as the model takes
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        run(mpibert, "prepare", "--task", "pretraining", "--input", sample / "corpus.txt", "--model", sample / "model", "--output", work / "shards", "--max-seq-length", 64)
        for kind in ("relative_key", "relative_key_query"):
            compare(mpibert, pretrain(mpibert, sample, work, kind), texts)
            compare(mpibert, of_transformers(sample, work, kind), texts)
        compare(mpibert, pretrain(mpibert, sample, work, "sinusoidal"), texts, position_embedding_type="absolute")


if __name__ == "__main__":
    if len(sys.argv) != 3 or not transformers.__version__.startswith("4."):
        sys.exit(f"{__doc__}\nfound transformers {transformers.__version__}")
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
