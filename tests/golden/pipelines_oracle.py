"""`mpibert predict --pipeline` beside transformers' pipelines, live: 200 inputs each, with emoji, Chinese, an empty text and one of 10,000 words.

usage: python tests/golden/pipelines_oracle.py MPIBERT SAMPLE_FOLDER [MODEL_FOLDER]
MODEL_FOLDER: a pretrained BertModel (datasets/models/minilm.sh): its encoder is real, heads are random, with scores spread out. Without it the encoder is random too.

Needs torch and transformers 5 (version 4 closes up the spaces before some marks in what fill-mask gives). Exit status 0 if labels are equal and numbers within 1e-4.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent / "generate"))
from pipelines_peer import call, spread, text_of

COUNT, TOLERANCE = 200, 1e-4
NLI = ["contradiction", "neutral", "entailment"]
ODD = ["", " ", "😀 great 👍🏽!", "中国人民银行 is a bank in 北京", "naïve café — ÉCOLE", "don't you 're n't 's", "Ünïcödé\u200bzero", "[UNK] [SEP] [CLS]", "a" * 150, "?!?!...", "１２３ ½ ﬁ"]


def sample_texts(folder):
    lines = [line for line in (folder / "corpus.txt").read_text().splitlines() if line]
    chosen = random.Random(3).sample(lines, COUNT - len(ODD) - 1)
    return ODD + [" ".join(" ".join(lines).split()[:10000])] + chosen


def with_masks(texts):
    rng, masked = random.Random(5), []
    for i, text in enumerate(texts):
        words = text.split() or ["empty"]
        for _ in range(3 if i % 20 == 7 else 1):
            words[rng.randrange(min(len(words), 100))] = "[MASK]"
        masked.append(" ".join(words))
    return masked


def make_models(base, sample, work):
    def make(name, kind, scale, **more):
        torch.manual_seed(7)
        if base:
            model = kind.from_pretrained(base, **more)
        else:
            config = transformers.BertConfig.from_json_file(sample / "model" / "config.json")
            for key, value in (more | {"initializer_range": 0.1}).items():
                setattr(config, key, value)
            model = kind(config)
        spread(model, 9, scale).eval().save_pretrained(work / name)
        for file in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy((base or sample / "model") / file, work / name / file)
        limits = json.loads((work / name / "tokenizer_config.json").read_text())
        limits.setdefault("model_max_length", model.config.max_position_embeddings)
        (work / name / "tokenizer_config.json").write_text(json.dumps(limits))

    make("classifier", transformers.BertForSequenceClassification, 0.2, num_labels=5, id2label=dict(enumerate("awful bad fair good superb".split())))
    make("nli", transformers.BertForSequenceClassification, 0.2, num_labels=3, id2label=dict(enumerate(NLI)), label2id={name: i for i, name in enumerate(NLI)})
    make("tagger", transformers.BertForTokenClassification, 0.2, num_labels=5, id2label=dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])))
    make("masked_lm", transformers.BertForMaskedLM, 0.2)
    make("pretraining", transformers.BertForPreTraining, 0.2)
    if base:
        shutil.copytree(base, work / "sentences", dirs_exist_ok=True)
    else:
        shutil.copytree(work / "classifier", work / "sentences")


def difference(found, expected, place=""):
    """Where two results differ; None if nowhere."""
    if isinstance(expected, float):
        return None if abs(found - expected) <= TOLERANCE else f"{place}: {found}, not {expected}"
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        return next((text for i, each in enumerate(expected) if (text := difference(found[i], each, f"{place}[{i}]"))), None)
    if isinstance(expected, dict) and isinstance(found, dict) and list(found) == list(expected):
        return next((text for key, each in expected.items() if (text := difference(found[key], each, f"{place}.{key}"))), None)
    return None if found == expected else f"{place}: {found}, not {expected}"


def check(program, folder, task, lines, flags=(), ranks=1, **options):
    launch = ["mpirun", "-n", str(ranks), "--oversubscribe"] if ranks > 1 else []
    done = subprocess.run([*launch, program, "predict", "--pipeline", task, "--model", folder, *flags], input=text_of(lines), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = call(task, folder, lines, **options)
    assert len(found) == len(expected), f"{len(found)} results of {len(expected)} lines"
    wrong = [(i, text) for i in range(len(lines)) if (text := difference(found[i], expected[i]))]
    for i, text in wrong[:3]:
        print(f"{task} {folder.name}: line {i} {str(lines[i])[:80]!r}: {text}")
    print(f"{task} {folder.name} {' '.join(flags)}: {len(lines) - len(wrong)} of {len(lines)} agree")
    return not wrong


def main():
    program, sample = sys.argv[1], pathlib.Path(sys.argv[2])
    base = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    texts = sample_texts(sample)
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        make_models(base, sample, work)
        pairs = [{"text": text, "text_pair": texts[-1 - i]} for i, text in enumerate(texts)]
        labels = ["travel", "cooking", "music"]
        length = 256 if base else transformers.BertConfig.from_pretrained(work / "sentences").max_position_embeddings
        pooled = dict(pooling="mean", normalize=True, length=length)
        good = [
            check(program, work / "classifier", "text-classification", texts),
            check(program, work / "classifier", "text-classification", pairs, ["--top-k", "0"], ranks=3, top_k=None),
            check(program, work / "masked_lm", "fill-mask", with_masks(texts), ranks=2),
            check(program, work / "pretraining", "fill-mask", with_masks(texts)[:20], ["--top-k", "10"], top_k=10),
            check(program, work / "nli", "zero-shot-classification", [text for text in texts if text], ["--candidate-labels", *labels], candidate_labels=labels),
            check(program, work / "nli", "zero-shot-classification", texts[-50:], ["--candidate-labels", *labels, "--multi-label"], candidate_labels=labels, multi_label=True),
            check(program, work / "classifier", "feature-extraction", texts, ranks=2),
            check(program, work / "tagger", "token-classification", texts[1:], ranks=2),
            *(check(program, work / "tagger", "token-classification", texts[1:], ["--aggregation-strategy", each], aggregation_strategy=each) for each in ("simple", "first", "average", "max")),
            check(program, work / "sentences", "sentence-embeddings", texts, [] if base else ["--normalize", "true"], **pooled),
        ]
        sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or transformers.__version__.startswith("4."):
        sys.exit(f"{__doc__}\nfound transformers {transformers.__version__}")
    main()
