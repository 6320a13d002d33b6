"""Features of both conventions, and scores of 1,000 random predictions, from squad_reference.py.

usage: squad.py FOLDER     writes squad_features.jsonl and squad_scores.jsonl into it; needs transformers with tokenizers
"""
import json
import pathlib
import random
import sys

import squad_reference as reference
import transformers

MODEL = pathlib.Path(__file__).resolve().parents[3] / "datasets/sample/model"
LIMITS = dict(max_seq_length=32, doc_stride=7, max_query_length=6)

CONTEXTS = [
    ("the baker sliced the bread at noon . then the cook (1895-1943) seasoned the soup , the onion and the pudding . the waiter served it yesterday .",
     [("who sliced the bread at noon in the big bakery ?", "the baker"), ("when ?", "1895"), ("when ?", "1895-1943"), ("what was served ?", "pudding"), ("who ?", "waiter"), ("who ?", None)]),
    ("caf\u00e9 Zo\u00eb \U0001f600 \u4e2d\u6587 stra\u00dfe\u202fnon\u00a0breaking\ttab  two\nlines e\u0301 \u200bzero \ufb01n I\u0130i",
     [("wo ?", "Zo\u00eb \U0001f600"), ("wo ?", "\u6587"), ("wo ?", "non\u00a0breaking"), ("wo ?", "tab  two"), ("wo ?", "e\u0301"), ("wo ?", "zero \ufb01n"), ("wo ?", "caf")]),
    (" [SEP] the [MASK] boat . ", [("  what is [UNK] ?", "boat")]),
]
WORDS = "the a an The A cat cats dog. dog, \u2014 na\u00efve caf\u00e9 a\u0301 \u03a3\u039f\u03a3 \u0130x 42 4.2 it's well-known \u00a0 _a_ the\u2014end \u4e2d\u6587 \u00bd th\u00e9 $5 (a) \u24b6".split(" ")


def features():
    tokenizer = transformers.BertTokenizerFast(str(MODEL / "vocab.txt"), do_lower_case=True)
    yield dict(LIMITS, transformers=transformers.__version__)
    for context, questions in CONTEXTS:
        for question, text in questions:
            answer = None if text is None else (text, context.index(text))
            found = {"run_qa": reference.run_qa(tokenizer, question, context, answer, LIMITS["max_seq_length"], LIMITS["doc_stride"])}
            if "[" not in context:  # Google's tokenizer knows no special tokens in a text
                found["run_squad"] = reference.run_squad(tokenizer.tokenize, tokenizer.convert_tokens_to_ids, question, context, answer, **LIMITS)
            yield dict(context=context, question=question, answer=answer, **found)


def scores():
    draw = random.Random(11)
    text = lambda longest: " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, longest)))
    questions = []
    for _ in range(1000):
        answers = [text(4) for _ in range(draw.choice((0, 1, 1, 2, 3)))]
        prediction = draw.choice(answers) + draw.choice(("", "", " x", ".", " a")) if answers and draw.random() < 0.4 else draw.choice(("", text(4), text(4)))
        result = reference.score(prediction, answers, True)
        questions.append((answers, prediction, draw.uniform(-5, 5) + (-2 if answers and result[1] else 2), result))
    total = {"exact": 100.0 * sum(q[3][0] for q in questions) / 1000, "f1": 100.0 * sum(q[3][1] for q in questions) / 1000}
    total["best_exact"], total["best_exact_thresh"] = reference.best_threshold(questions, 0)
    total["best_f1"], total["best_f1_thresh"] = reference.best_threshold(questions, 1)
    answered = [(p, reference.score(p, a, False)) for a, p, _, _ in questions if a]
    total["exact_match_1"] = 100.0 * sum(s[0] for _, s in answered) / len(answered)
    total["f1_1"] = 100.0 * sum(s[1] for _, s in answered) / len(answered)
    yield dict(total, python=sys.version.split()[0])
    for answers, prediction, odds, _ in questions:
        yield [answers, prediction, odds]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, lines in (("squad_features", features()), ("squad_scores", scores())):
        path = pathlib.Path(sys.argv[1]) / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        print(path, path.stat().st_size, "bytes")
