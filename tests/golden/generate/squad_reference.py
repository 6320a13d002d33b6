"""SQuAD in Python, from the published definitions: the scores of the official scripts, and the features of run_qa.py and run_squad.py.

Sources: evaluate-v1.1.py and evaluate-v2.0.py at rajpurkar.github.io/SQuAD-explorer (Rajpurkar et al. 2016, 2018); examples/pytorch/question-answering of
huggingface/transformers; run_squad.py of google-research/bert. squad_oracle.py compares this with what transformers itself has of it.
"""
import collections
import math
import re
import string

WHITE_SPACE = " \t\r\n\u202f"  # of run_squad.py


def normalize(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(prediction, answer, version_2):
    predicted, expected = normalize(prediction).split(), normalize(answer).split()
    if version_2 and not (predicted and expected):
        return float(predicted == expected)
    same = sum((collections.Counter(predicted) & collections.Counter(expected)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def score(prediction, answers, version_2):
    """(exact, f1): the best of all answers."""
    if version_2:
        answers = [answer for answer in answers if normalize(answer)] or [""]
    return (max(float(normalize(prediction) == normalize(answer)) for answer in answers), max(f1(prediction, answer, version_2) for answer in answers))


def best_threshold(questions, index):
    """questions: (answers, prediction, odds, (exact, f1)). (percent, threshold) of evaluate-v2.0.py's search."""
    current = best = sum(not answers for answers, *_ in questions)
    threshold = 0.0
    for answers, prediction, odds, scores in sorted(questions, key=lambda question: question[2]):
        current += scores[index] if answers else -1 if prediction else 0
        if current > best:
            best, threshold = current, odds
    return 100.0 * best / len(questions), threshold


# Features. A feature is (input_ids, token_type_ids, start_position, end_position, spans); spans belong to the tokens of the context.


def run_qa(tokenizer, question, context, answer, max_seq_length, doc_stride):
    """answer: (text, start) or None. tokenizer: a fast one of transformers."""
    encoded = tokenizer(question.lstrip(), context, truncation="only_second", max_length=max_seq_length, stride=doc_stride, return_overflowing_tokens=True, return_offsets_mapping=True,
                        return_token_type_ids=True)
    features = []
    for i, ids in enumerate(encoded["input_ids"]):
        inside = [k for k, sequence in enumerate(encoded.sequence_ids(i)) if sequence == 1]
        places = encoded["offset_mapping"][i]
        start = end = 0
        if answer is not None and inside:
            begin, stop = answer[1], answer[1] + len(answer[0])
            if places[inside[0]][0] <= begin and places[inside[-1]][1] >= stop:
                # The script's loop for the start goes on behind the window; that is the one thing we do not follow.
                start = max(k for k in inside if places[k][0] <= begin)
                end = min(k for k in inside if places[k][1] >= stop)
        features.append((ids, encoded["token_type_ids"][i], start, end, [list(places[k]) for k in inside]))
    return features


def words_of(text):
    """([(begin, end)], for each character the number of the last word that has begun)"""
    words, number_at = [], []
    inside = False
    for place, c in enumerate(text):
        if c in WHITE_SPACE:
            inside = False
        elif inside:
            words[-1][1] = place + 1
        else:
            words.append([place, place + 1])
            inside = True
        number_at.append(len(words) - 1)
    return words, number_at


def run_squad(tokenize, to_ids, question, context, answer, max_seq_length, doc_stride, max_query_length, training=True):
    """None: left out of training. tokenize: text -> pieces."""
    words, number_at = words_of(context)
    texts = [context[begin:end] for begin, end in words]
    if answer is not None:
        if number_at[answer[1]] < 0:
            return None
        first_word, last_word = number_at[answer[1]], number_at[answer[1] + len(answer[0]) - 1]
        if " ".join(answer[0].split()) not in " ".join(texts[first_word:last_word + 1]):
            if training:
                return None
            answer = None
    pieces, word_of_piece, first_piece = [], [], []
    for number, text in enumerate(texts):
        first_piece.append(len(pieces))
        for piece in tokenize(text):
            pieces.append(piece)
            word_of_piece.append(number)
    query = tokenize(question)[:max_query_length]
    first = last = None
    if answer is not None:
        first = first_piece[first_word]
        last = first_piece[last_word + 1] - 1 if last_word + 1 < len(texts) else len(pieces) - 1
        wanted = tokenize(answer[0])
        candidates = ((a, b) for a in range(first, last + 1) for b in range(last, a - 1, -1))
        first, last = next(((a, b) for a, b in candidates if pieces[a:b + 1] == wanted), (first, last))
    room = max_seq_length - len(query) - 3
    features, begin = [], 0
    while begin < len(pieces):
        end = min(begin + room, len(pieces))
        tokens = ["[CLS]", *query, "[SEP]", *pieces[begin:end], "[SEP]"]
        shift = len(query) + 2 - begin
        inside = first is not None and first >= begin and last < end
        features.append((to_ids(tokens), [0] * (len(query) + 2) + [1] * (end - begin + 1), first + shift if inside else 0, last + shift if inside else 0,
                         [words[word_of_piece[k]] for k in range(begin, end)]))
        if end == len(pieces):
            break
        begin += min(room, doc_stride)
    return features


def n_best_of_run_qa(context, features, n_best_size=20, max_answer_length=30, version_2=False, threshold=0.0):
    """features: (first place of the context, spans, [(start logit, end logit)]). {"text", "null_odds", "nbest": [[text, probability]]}; as utils_qa.py, without padding."""
    found, null = [], None
    for first, spans, logits in features:
        order = [sorted(range(len(logits)), key=lambda i: (logits[i][side], i), reverse=True)[:n_best_size] for side in (0, 1)]
        score = logits[0][0] + logits[0][1]
        null = (score, "") if null is None or score < null[0] else null
        for start in order[0]:
            for end in order[1]:
                if first <= start <= end < first + len(spans) and end - start < max_answer_length:
                    found.append((logits[start][0] + logits[end][1], context[spans[start - first][0]:spans[end - first][1]]))
    if version_2:
        found.append(null)
    best = sorted(found, key=lambda pair: -pair[0])[:n_best_size]
    if version_2 and all(text for _, text in best):
        best.append(null)
    if not any(text for _, text in best):
        best.insert(0, (0.0, "empty"))
    largest = max(score for score, _ in best)
    total = sum(math.exp(score - largest) for score, _ in best)
    top = next(pair for pair in best if pair[1])
    odds = null[0] - top[0]
    text = best[0][1] if not version_2 else "" if odds > threshold else top[1]
    return {"text": text, "null_odds": odds if version_2 else 0, "nbest": [[text, math.exp(score - largest) / total] for score, text in best]}
