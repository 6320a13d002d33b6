"""Checkpoints and the field's own library, live.

usage: python tests/golden/transformers_roundtrip.py ROUNDTRIP_TOOL     small random models there and back, bit for bit
       python tests/golden/transformers_roundtrip.py --check CHECKPOINT one checkpoint of the program loads as it stands

Needs torch, transformers, safetensors. Exit status 0 if everything agrees.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s", "world"]
HEADS = [
    transformers.BertForPreTraining,
    transformers.BertForMaskedLM,
    transformers.BertForSequenceClassification,
    transformers.BertForTokenClassification,
    transformers.BertForQuestionAnswering,
    transformers.BertForMultipleChoice,
    transformers.BertModel,
]


def config():
    return transformers.BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=32)


def write_tokenizer(folder):
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in VOCABULARY))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 32}))


def load(kind, folder):
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    left = {key: value for key, value in info.items() if value}
    assert not left, f"{kind.__name__} from {folder}: {left}"
    return model.eval()


def logits(model):
    ids = torch.tensor([[2, 5, 6, 7, 3, 0], [2, 7, 3, 5, 3, 0]])
    if isinstance(model, transformers.BertForMultipleChoice):
        ids = ids[None]  # a sample of two choices
    mask = (ids != 0).long()
    with torch.no_grad():
        return [value for value in model(input_ids=ids, attention_mask=mask).to_tuple() if isinstance(value, torch.Tensor)]


def same(first, second):
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, second, strict=True))


def convert(tool, folder, run):
    done = subprocess.run([tool, folder, run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return run / "checkpoints" / "step-00000001", done.stdout.strip()


def round_trip(tool, kind, root):
    torch.manual_seed(5)
    model = kind(config()).eval()
    theirs = root / "theirs"
    model.save_pretrained(theirs)
    write_tokenizer(theirs)
    ours, digest = convert(tool, theirs, root / "run")

    # A BertModel's own names lack "bert.", which transformers adds or takes away as its base_model_prefix.
    again = load(kind, ours)
    state, state_again = model.state_dict(), again.state_dict()
    assert state.keys() == state_again.keys()
    assert all(torch.equal(state[name], state_again[name]) for name in state), kind.__name__
    assert same(logits(model), logits(again)), f"{kind.__name__}: logits differ"
    tokenizer = transformers.AutoTokenizer.from_pretrained(ours)
    assert tokenizer("Hellos WORLD")["input_ids"] == [2, 5, 6, 7, 3]

    # What they save of our checkpoint is what we read of it, by digest, whole or in shards, as safetensors or PyTorch's own.
    again.save_pretrained(root / "back")
    assert convert(tool, root / "back", root / "run2")[1] == digest
    again.save_pretrained(root / "sharded", max_shard_size="4KB")
    assert (root / "sharded" / "model.safetensors.index.json").exists()
    assert convert(tool, root / "sharded", root / "run3")[1] == digest
    for is_zip in (True, False):
        binary = root / ("bin" if is_zip else "old_bin")
        again.config.save_pretrained(binary)
        torch.save(again.state_dict(), binary / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
        assert convert(tool, binary, binary / "run")[1] == digest
    print(f"{kind.__name__}: {len(state)} tensors and all logits agree")


def old_names(tool, root):
    """A folder as versions before 1.0 wrote them: gamma, beta, position_ids, the tied decoder beside the embeddings; in bf16."""
    torch.manual_seed(6)
    model = transformers.BertForPreTraining(config()).to(torch.bfloat16).eval()
    state = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value.clone()
             for name, value in model.state_dict().items()}
    state["bert.embeddings.position_ids"] = torch.arange(32)[None]
    theirs = root / "theirs"
    theirs.mkdir()
    save_file(state, theirs / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(theirs)
    (theirs / "config.json").write_text(json.dumps({**json.loads((theirs / "config.json").read_text()), "dtype": "float32"}))
    ours, _ = convert(tool, theirs, root / "run")
    again = load(transformers.BertForPreTraining, ours)
    assert all(torch.equal(value.float(), again.state_dict()[name]) for name, value in model.state_dict().items())
    print("old names in bf16: all tensors agree")


def check(checkpoint):
    kind = getattr(transformers, json.loads((checkpoint / "config.json").read_text()).get("architectures", ["BertForPreTraining"])[0])
    model = load(kind, checkpoint)
    files = load_file(checkpoint / "model.safetensors")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in files.items())
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    values = model(**tokenizer("hello world", return_tensors="pt")).to_tuple()
    assert all(torch.isfinite(value).all() for value in values if isinstance(value, torch.Tensor))
    print(f"{checkpoint}: {kind.__name__} with {len(files)} tensors and {len(tokenizer)} tokens loads")


def main():
    transformers.logging.set_verbosity_error()
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        return check(pathlib.Path(sys.argv[2]))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for kind in HEADS:
        with tempfile.TemporaryDirectory() as root:
            round_trip(sys.argv[1], kind, pathlib.Path(root))
    with tempfile.TemporaryDirectory() as root:
        old_names(sys.argv[1], pathlib.Path(root))


if __name__ == "__main__":
    main()
