"""What transformers' pipelines give, for the fixtures of pipelines.py and for tests/golden/pipelines_oracle.py. Not a program.

A case: {"model": a folder's name, "flags": the words behind `mpibert predict --model FOLDER`, "lines": its input, "expected": one value a line}.
"""
import json

import torch
import transformers


def sentence_vectors(folder, texts, pooling, normalize, length):
    """SentenceTransformer.encode, as sentence_transformers.models.Pooling and Normalize compute it, a text at a time."""
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(folder), transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    vectors = []
    for text in texts:
        with torch.no_grad():
            hidden = model(**tokenizer(text, truncation=True, max_length=length, return_tensors="pt")).last_hidden_state[0]
        vector = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
        vectors.append((torch.nn.functional.normalize(vector, dim=0) if normalize else vector).tolist())
    return vectors


def call(task, folder, lines, **options):
    """One result a line; a line is a text, or the arguments of a call."""
    if task == "sentence-embeddings":
        return sentence_vectors(folder, lines, **options)
    pipe = transformers.pipeline(task, model=str(folder), device="cpu")
    if task == "fill-mask":
        options["tokenizer_kwargs"] = {"truncation": True}
    elif task not in ("zero-shot-classification", "token-classification"):  # the latter cuts by itself
        options["truncation"] = True
    results = []
    for line in lines:
        if task == "zero-shot-classification" and isinstance(line, dict):
            arguments = dict(line)
            results.append(pipe(arguments.pop("sequences"), **(options | arguments)))
        elif task == "fill-mask" and isinstance(line, dict):
            arguments = dict(line)
            results.append(pipe(arguments.pop("inputs"), **(options | arguments)))
        elif task == "token-classification":
            results.append([entity | {"score": float(entity["score"])} for entity in pipe(line, **options)])
        else:
            results.append(pipe([line], **options)[0] if task in ("text-classification", "feature-extraction") else pipe(line, **options))
    return results


def text_of(lines):
    """Standard input for the lines: as they are, or JSON."""
    return "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)


def spread(model, seed, scale):
    """Heads as large as trained ones, so that scores lie apart."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("classifier.", "cls.")) and "LayerNorm" not in name:
                parameter.normal_(0, scale)
    return model
