"""Writes fixtures/pipelines: tiny models, and what transformers' pipelines say of texts with them.
Needs torch and transformers (versions in cases.jsonl's first line). Random numbers by the seeds below.

usage: python tests/golden/generate/pipelines.py tests/golden/fixtures
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers
from pipelines_peer import call, spread

WORDS = """the a man woman cat dog film book was is not very good bad great terrible ate saw read liked hated in on at park house
this example about sports politics science that it and or we they of to with un ##like ##s ##ed ##ing ##ly don ' t . , ! ? - ( )""".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"中国人好", "😀", *"abcdefghijklmnopqrstuvwxyz", *("##" + c for c in "abcdefghijklmnopqrstuvwxyz")]
NLI = ["contradiction", "neutral", "entailment"]
LONG = "the man saw a very good film and the cat ate " * 40
TEXTS = ["This film was great!", "The dog hated the park.", "", "a 😀 cat", "中国人 好", "unlikely, it isn't THE house", LONG]
MASKED = ["the [MASK] ate the cat .", "We don't like this [MASK]!", "[MASK] 😀 [MASK]", "中国[MASK]", "the [PAD] dog [MASK] unliked",  "[MASK] " + LONG]


def config(**more):
    return transformers.BertConfig(vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=32,
                                   initializer_range=0.4, **more)


def save(folder, model, **tokenizer):
    model.eval().save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in VOCABULARY))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 32} | tokenizer))


def make_models(folder):
    torch.manual_seed(11)
    kinds = {
        "classifier": (transformers.BertForSequenceClassification, dict(num_labels=3, id2label=dict(enumerate(["bad", "so so", "good"])))),
        "two_labels": (transformers.BertForSequenceClassification, dict(num_labels=2)),
        "multi_label": (transformers.BertForSequenceClassification, dict(num_labels=3, problem_type="multi_label_classification")),
        "regression": (transformers.BertForSequenceClassification, dict(num_labels=1, problem_type="regression")),
        "nli": (transformers.BertForSequenceClassification, dict(num_labels=3, id2label=dict(enumerate(NLI)), label2id={name: i for i, name in enumerate(NLI)})),
        "masked_lm": (transformers.BertForMaskedLM, {}),
        "pretraining": (transformers.BertForPreTraining, {}),
        "tagger": (transformers.BertForTokenClassification, dict(num_labels=5, id2label=dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])))),
    }
    for name, (kind, more) in kinds.items():
        save(folder / name, spread(kind(config(**more)), 7, 0.7), **({"clean_up_tokenization_spaces": True} if name == "pretraining" else {}))


def cases(folder):
    def case(model, task, lines, flags=(), **options):
        expected = call(task, folder / model, lines, **options)
        return {"model": model, "flags": ["--pipeline", task, *flags], "lines": lines, "expected": expected}

    pairs = [{"text": text, "text_pair": TEXTS[-1 - i]} for i, text in enumerate(TEXTS)]
    for model in ("classifier", "two_labels", "multi_label", "regression"):
        yield case(model, "text-classification", TEXTS)
        yield case(model, "text-classification", TEXTS[:2], ["--top-k", "0"], top_k=None)
    yield case("classifier", "text-classification", pairs)
    for function in ("softmax", "sigmoid", "none"):
        yield case("classifier", "text-classification", TEXTS[:2], ["--top-k", "2", "--function-to-apply", function], top_k=2, function_to_apply=function)
    for strategy in ("none", "simple", "first", "average", "max"):
        yield case("tagger", "token-classification", [text for text in TEXTS if text], ["--aggregation-strategy", strategy], aggregation_strategy=strategy)
    yield case("tagger", "token-classification", TEXTS[:2], ["--aggregation-strategy", "simple", "--ignore-labels", "PER,I-LOC"], aggregation_strategy="simple", ignore_labels=["PER", "I-LOC"])
    for model in ("masked_lm", "pretraining"):
        yield case(model, "fill-mask", MASKED)
    yield case("masked_lm", "fill-mask", MASKED[:2], ["--top-k", "2", "--targets", "dog", "cat", "unliked"], top_k=2, targets=["dog", "cat", "unliked"])
    yield case("masked_lm", "fill-mask", [{"inputs": MASKED[0], "top_k": 1}, {"inputs": MASKED[1], "targets": ["film"]}])
    yield case("classifier", "feature-extraction", TEXTS[:4])
    for pooling in ("mean", "cls", "max"):
        for normalize in (False, True):
            yield case("classifier", "sentence-embeddings", TEXTS, ["--pooling", pooling, "--normalize", str(normalize).lower()], pooling=pooling, normalize=normalize, length=32)
    labels = ["sports", "politics", "science"]
    texts = [text for text in TEXTS if text]  # transformers refuses an empty sequence
    yield case("nli", "zero-shot-classification", texts, ["--candidate-labels", ",".join(labels)], candidate_labels=labels)
    yield case("nli", "zero-shot-classification", texts, ["--candidate-labels", *labels, "--multi-label"], candidate_labels=labels, multi_label=True)
    yield case("nli", "zero-shot-classification", [{"sequences": TEXTS[0], "candidate_labels": ["cat, dog", "film"], "hypothesis_template": "it is about {} !"},
                                                   {"sequences": TEXTS[1], "candidate_labels": "cat, dog", "multi_label": True}, {"sequences": TEXTS[1], "candidate_labels": ["dog"]}])


def main():
    folder = pathlib.Path(sys.argv[1]) / "pipelines"
    shutil.rmtree(folder, ignore_errors=True)
    make_models(folder)
    lines = [{"versions": {"torch": torch.__version__, "transformers": transformers.__version__}}, *cases(folder)]
    (folder / "cases.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    print(len(lines) - 1, "cases", sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), "bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
