#!/usr/bin/env python3
"""SQuAD's features, answers and scores beside what transformers has of them, live. Ends with status 1 at any difference.

usage: squad_oracle.py DRIVER PROGRAM MODEL DATA_FOLDER     MODEL: a folder with vocab.txt and an encoder's weights; DATA_FOLDER/squad/*.json.gz
The pipeline "question-answering" is in transformers 4 alone; with version 5 that part says SKIPPED.
"""
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "generate"))
import squad_reference as reference  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

LIMITS = (384, 128, 64)
failures = 0


def report(what, count, differences):
    global failures
    failures += len(differences)
    print(f"{what}: {count} compared, {len(differences)} differences", flush=True)
    for difference in differences[:5]:
        print("  ", str(difference)[:600])


def driver(program, model, file, convention, *more, limits=LIMITS):
    run = subprocess.run([program, str(model), str(file), convention, *map(str, limits), *map(str, more)], stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def questions_of(data):
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                answer = asked["answers"][0] if asked["answers"] else None
                yield asked["id"], asked["question"], paragraph["context"], answer and (answer["text"], answer["answer_start"])


def compare_features(program, model, file, data, tokenizer):
    differences, count = [], 0
    for (number, question, context, answer), ours in zip(questions_of(data), driver(program, model, file, "run_qa")):
        theirs = [list(feature) for feature in reference.run_qa(tokenizer, question, context, answer, *LIMITS[:2])]
        count += len(theirs)
        if ours != theirs:
            differences.append((number, ours, theirs))
    report(f"features of run_qa, {file.name}", count, differences)

    differences, count = [], 0
    for (number, question, context, answer), ours in zip(questions_of(data), driver(program, model, file, "run_squad")):
        theirs = reference.run_squad(tokenizer.tokenize, tokenizer.convert_tokens_to_ids, question, context, answer, *LIMITS)
        theirs = theirs and json.loads(json.dumps(theirs))
        count += len(theirs or [0])
        if ours != theirs:
            differences.append((number, ours, theirs))
    report(f"features of run_squad, {file.name}", count, differences)


def compare_library_features(program, model, file, data, some):
    """transformers' own translation of run_squad.py, which needs a slow tokenizer: of version 4 alone."""
    from transformers.data.processors.squad import SquadExample, squad_convert_examples_to_features

    slow = transformers.BertTokenizer(str(model / "vocab.txt"))
    if slow.is_fast:
        return print("features of transformers' squad_convert_examples_to_features: SKIPPED, this version has no slow tokenizer")
    asked = list(questions_of(data))[:some]
    examples = [SquadExample(number, question, context, answer[0], answer[1], "", [], False) for number, question, context, answer in asked]
    features = squad_convert_examples_to_features(examples, slow, *LIMITS[:2], LIMITS[2], True, padding_strategy="do_not_pad", threads=1, tqdm_enabled=False)
    theirs = {}
    for feature in features:
        theirs.setdefault(feature.example_index, []).append([feature.input_ids, feature.start_position, feature.end_position])
    differences = []
    for i, ours in enumerate(driver(program, model, file, "run_squad")[:some]):
        ours = ours and [[f[0], f[2], f[3]] for f in ours]
        if (ours or None) != theirs.get(i):
            differences.append((asked[i][0], ours, theirs.get(i)))
    report("features of transformers' squad_convert_examples_to_features", len(features), differences)


def random_logits(draw, length):
    """Peaks here and there, as a model has them."""
    return [[round(draw.gauss(0, 3) + (6 if draw.random() < 0.02 else 0), 4) for _ in range(2)] for _ in range(length)]


def same_answer(ours, theirs):
    return ours["text"] == theirs["text"] and abs(ours["null_odds"] - theirs["null_odds"]) < 1e-4 and len(ours["nbest"]) == len(theirs["nbest"]) and all(
        a[0] == b[0] and abs(a[1] - b[1]) < 1e-5 for a, b in zip(ours["nbest"], theirs["nbest"]))


def compare_answers(program, model, file, data, tokenizer, root):
    asked = list(questions_of(data))
    for convention in ("run_qa", "run_squad"):
        draw = random.Random(3)
        features = [f or [] for f in driver(program, model, file, convention)]
        logits = [[random_logits(draw, len(feature[0])) for feature in of_question] for of_question in features]
        (root / "logits").write_text("".join(json.dumps(one) + "\n" for of_question in logits for one in of_question))
        for version in (1, 2):
            ours = driver(program, model, file, convention, root / "logits", version)
            differences = []
            if convention == "run_qa":
                for i, (number, _, context, _) in enumerate(asked):
                    windows = [(len(f[0]) - 1 - len(f[4]), f[4], one) for f, one in zip(features[i], logits[i])]
                    theirs = reference.n_best_of_run_qa(context, windows, version_2=version == 2)
                    if not same_answer(ours[i], theirs):
                        differences.append((number, ours[i], theirs))
            else:
                theirs = library_answers(model, asked, features, logits, version == 2, root)
                differences = [(number, ours[i], theirs[number]) for i, (number, *_) in enumerate(asked) if not same_answer(ours[i], theirs[number])]
            report(f"answers of {convention}, version {version}", len(asked), differences)


def library_answers(model, asked, features, logits, version_2, root):
    """transformers' translation of write_predictions of run_squad.py."""
    from transformers.data.metrics.squad_metrics import compute_predictions_logits
    from transformers.data.processors.squad import SquadExample, SquadFeatures, SquadResult, _new_check_is_max_context

    tokenizer = transformers.BertTokenizerFast(str(model / "vocab.txt"), do_lower_case=True)
    # As run_squad.py; transformers leaves the "##" of a text that begins within a word, and finds that text nowhere.
    tokenizer.convert_tokens_to_string = lambda tokens: " ".join(tokens).replace(" ##", "").replace("##", "")
    examples = [SquadExample(number, question, context, None, None, "") for number, question, context, _ in asked]
    made, results = [], []
    for i, of_question in enumerate(features):
        begins = {begin: k for k, (begin, _) in enumerate(reference.words_of(asked[i][2])[0])}
        starts = [0]
        for feature in of_question[:-1]:
            starts.append(starts[-1] + min(len(feature[4]), LIMITS[1]))
        spans = [{"start": start, "length": len(feature[4])} for start, feature in zip(starts, of_question)]
        for k, (feature, one) in enumerate(zip(of_question, logits[i])):
            ids, first = feature[0], len(feature[0]) - 1 - len(feature[4])
            number = len(made)
            made.append(SquadFeatures(ids, None, None, 0, None, i, number, len(spans), {first + j: _new_check_is_max_context(spans, k, starts[k] + j) for j in range(len(feature[4]))},
                                      tokenizer.convert_ids_to_tokens(ids), {first + j: begins[begin] for j, (begin, _) in enumerate(feature[4])}, 0, 0, False))
            results.append(SquadResult(number, [start for start, _ in one], [end for _, end in one]))
    odds = root / "odds.json"
    texts = compute_predictions_logits(examples, made, results, 20, 30, True, None, str(root / "nbest.json"), str(odds) if version_2 else None, False, version_2, 0.0, tokenizer)
    n_best, odds = json.loads((root / "nbest.json").read_text()), json.loads(odds.read_text()) if version_2 else {}
    return {number: {"text": text, "null_odds": odds.get(number, 0), "nbest": [[entry["text"], entry["probability"]] for entry in n_best[number]]} for number, text in texts.items()}


def compare_scores(program, file, data, root):
    """`mpibert evaluate --predictions` beside the definitions, with predictions that are cut, moved, or missing."""
    draw = random.Random(5)
    asked = [(number, [answer["text"] for answer in qa["answers"]]) for article in data["data"] for p in article["paragraphs"] for qa in p["qas"] for number in [qa["id"]]]
    predictions = {number: " ".join(draw.choice(answers).split()[draw.randint(0, 1):]) if draw.random() < 0.8 else "" for number, answers in asked if draw.random() < 0.99}
    (root / "predictions.json").write_text(json.dumps(predictions))
    run = subprocess.run([program, "evaluate", "--task", "squad", "--data", str(file), "--predictions", str(root / "predictions.json")], stdout=subprocess.PIPE, check=True)
    ours = json.loads(run.stdout)
    scores = [reference.score(predictions[number], answers, False) if number in predictions else (0, 0) for number, answers in asked]
    theirs = {name: 100.0 * sum(score[i] for score in scores) / len(scores) for i, name in enumerate(("exact_match", "f1"))}
    report("scores of evaluate-v1.1.py", len(asked), [] if all(abs(ours[name] - value) < 1e-9 for name, value in theirs.items()) else [(ours, theirs)])


def pipeline_questions(data, some):
    draw = random.Random(7)
    asked = [(question, context) for _, question, context, _ in questions_of(data)]
    for question, context in draw.sample(asked, some):
        yield question, context
    yield "what smiles ?", "caf\u00e9 \U0001f600 Zo\u00eb \u4e2d\u6587\u5b57 stra\u00dfe, \U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301t\u00e9 \ufb01n"
    yield "\u8c01\u5728\u90a3\u91cc\uff1f", "\u5f20\u4e09\u548c\u674e\u56db\u5728\u5317\u4eac\u3002\u738b\u4e94\u4e0d\u5728\u90a3\u91cc\u3002" * 30
    yield "anything ?", " \u200b "
    yield "who ?", "one"
    yield "which of all these words ?", " ".join(draw.choice(context.split()) for _, context in draw.choices(asked, k=10000))


def compare_pipeline(program, model, data, root, some):
    if not hasattr(transformers, "QuestionAnsweringPipeline"):
        return print(f"pipeline: SKIPPED, transformers {transformers.__version__} has none")
    torch.manual_seed(1)
    theirs = transformers.BertForQuestionAnswering.from_pretrained(model)
    with torch.no_grad():
        theirs.qa_outputs.weight.normal_(0, 0.3)  # so that answers differ from each other
    tokenizer = transformers.BertTokenizerFast.from_pretrained(model)
    theirs.save_pretrained(root / "qa")
    tokenizer.save_pretrained(root / "qa")
    asked = list(pipeline_questions(data, some))
    lines = "".join(json.dumps({"question": question, "context": context}) + "\n" for question, context in asked)
    answer = transformers.pipeline("question-answering", model=theirs.eval(), tokenizer=tokenizer)
    for options, flags in (({}, []), ({"top_k": 3, "handle_impossible_answer": True}, ["--top-k", "3", "--handle-impossible-answer"]),
                           ({"align_to_words": False, "max_answer_len": 4}, ["--no-align-to-words", "--max-answer-len", "4"])):
        run = subprocess.run([program, "predict", "--pipeline", "question-answering", "--model", str(root / "qa"), *flags], input=lines.encode(), stdout=subprocess.PIPE, check=True)
        differences = []
        for (question, context), line in zip(asked, run.stdout.splitlines(), strict=True):
            ours, expected = json.loads(line), answer(question=question, context=context, **options)
            pairs = list(zip(*([one] if isinstance(one, dict) else one for one in (ours, expected)), strict=True))
            if not all(all(a[key] == b[key] for key in ("start", "end", "answer")) and abs(a["score"] - b["score"]) < 1e-4 for a, b in pairs):
                differences.append((question, context[:80], ours, expected))
        report(f"pipeline {options}", len(asked), differences)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    transformers.logging.set_verbosity_error()
    program, mpibert, model, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4]) / "squad"
    tokenizer = transformers.BertTokenizerFast(str(model / "vocab.txt"), do_lower_case=True)
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for file, some in (("train-v1.1.first12.json.gz", 1), ("dev-v1.1.json.gz", 4), ("policyqa_test.json.gz", 4)):
            data = json.loads(gzip.open(folder / file).read())
            data["data"] = data["data"][::some]
            cut = root / file.removesuffix(".gz")
            cut.write_text(json.dumps(data))
            compare_features(program, model, cut, data, tokenizer)
        data["data"] = data["data"][:2]
        cut.write_text(json.dumps(data))
        compare_library_features(program, model, cut, data, 300)
        compare_answers(program, model, cut, data, tokenizer, root)
        dev = json.loads(gzip.open(folder / "dev-v1.1.json.gz").read())
        compare_scores(mpibert, folder / "dev-v1.1.json.gz", dev, root)
        compare_pipeline(mpibert, model, dev, root, 195)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
