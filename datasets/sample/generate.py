#!/usr/bin/env python3
"""usage: generate.py [FOLDER]   writes every file of this folder again, byte for byte (default: the folder of this script).

A small world of eight topics. Who acts, what is done, with what and where belong to one topic, so masked words and following sentences can be
predicted, and a model of two layers learns the labelled tasks in seconds. Python's standard library only; one seed.
"""
import collections
import json
import pathlib
import random
import sys

SEED = 20260101
VOCABULARY_SIZE = 1200

# topic -> agents, verbs (two words for the same act), objects, places, what is said of a thing
TOPICS = {
    "kitchen": ("baker cook chef waiter grandmother butcher",
                "baked/prepared sliced/cut tasted/sampled seasoned/spiced served/offered burned/scorched",
                "bread soup cake onion potato pudding sauce dumpling", "kitchen bakery restaurant pantry", "warm salty sweet crusty"),
    "harbour": ("sailor captain fisherman diver pilot harbourmaster",
                "steered/guided anchored/moored painted/coated repaired/mended loaded/filled launched/floated",
                "boat ship ferry sail net anchor barge lighthouse", "harbour pier bay shipyard", "rusty wooden salted drifting"),
    "garden": ("gardener farmer botanist beekeeper neighbour shepherd",
               "planted/sowed watered/sprinkled pruned/trimmed picked/gathered dug/shovelled fenced/enclosed",
               "rose tree hedge tulip orchard vine meadow lettuce", "garden greenhouse field park", "green blooming thorny fragrant"),
    "school": ("teacher pupil librarian professor student principal",
               "read/studied explained/clarified copied/transcribed graded/marked recited/repeated summarised/condensed",
               "book lesson poem essay dictionary equation chapter examination", "school library classroom university", "long difficult clever unread"),
    "music": ("pianist singer drummer violinist conductor composer",
              "played/performed composed/wrote rehearsed/practised recorded/taped tuned/adjusted hummed/whistled",
              "song violin piano symphony melody drum waltz opera", "theatre studio concert hall", "loud gentle slow famous"),
    "weather": ("meteorologist forecaster hiker climber skier ranger",
                "predicted/foretold measured/gauged photographed/filmed watched/observed survived/endured feared/dreaded",
                "storm rain snow thunder fog hurricane avalanche frost", "mountain valley glacier ridge", "cold violent sudden distant"),
    "hospital": ("doctor nurse surgeon patient pharmacist dentist",
                 "treated/healed examined/inspected bandaged/wrapped diagnosed/identified vaccinated/injected soothed/eased",
                 "wound fever tooth bruise cough fracture infection headache", "hospital clinic ward ambulance", "painful mild swollen chronic"),
    "railway": ("engineer driver mechanic conductress signalman passenger",
                "drove/operated stopped/halted boarded/entered coupled/connected inspected/checked delayed/postponed",
                "train locomotive carriage wagon tram engine bridge tunnel", "station platform depot junction", "late crowded electric heavy"),
}
TIMES = "yesterday|in the morning|on monday|at noon|last week|before dawn|after lunch|in october".split("|")
PURPOSES = "for a friend|to win a prize|because of a bet|to earn money|for the first time|to please a child".split("|")
GOOD = "wonderful delightful charming brilliant moving superb touching witty graceful lovely splendid enjoyable".split()
BAD = "dreadful boring clumsy awful tedious shallow hollow lifeless messy irritating dull forgettable".split()
WORKS = "film story play novel comedy drama ending cast plot script performance picture".split()
DEGREES = "really quite very utterly rather truly".split()


class World:
    """Draws from the grammar. Everything that is random goes through one generator."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.topics = {name: dict(zip(("agents", "verbs", "objects", "places", "adjectives"), (part.split() for part in parts)))
                       for name, parts in TOPICS.items()}

    def pick(self, items):
        return self.random.choice(list(items))

    def event(self, topic):
        t = self.topics[topic]
        return {"topic": topic, "agent": self.pick(t["agents"]), "verb": self.pick(t["verbs"]), "object": self.pick(t["objects"]),
                "place": self.pick(t["places"]), "adjective": self.pick(t["adjectives"]), "time": self.pick(TIMES)}

    def other_topic(self, topic):
        return self.pick(name for name in self.topics if name != topic)

    def tell(self, event):
        """One sentence for an event: word order, synonym and detail vary, agent and object stay."""
        verb = self.pick(event["verb"].split("/"))
        agent, thing = event["agent"], event["object"]
        if self.random.random() < 0.3:
            thing = f'{event["adjective"]} {thing}'
        told = self.pick((f"the {agent} {verb} the {thing}", f"the {thing} was {passive(verb)} by the {agent}"))
        detail = self.random.random()
        if detail < 0.25:
            return f'{event["time"]} {told} .'
        if detail < 0.5:
            return f'{told} {event["time"]} .'
        if detail < 0.75:
            return f'{told} at the {event["place"]} .'
        return f"{told} ."


def passive(verb):
    return {"wrote": "written", "drove": "driven", "foretold": "foretold"}.get(verb, verb)


def documents(world, count):
    """A document stays with one topic and one hero: the next sentence can be told from a random one."""
    for _ in range(count):
        topic = world.pick(world.topics)
        hero = world.event(topic)["agent"]
        lines = []
        for _ in range(world.random.randint(6, 12)):
            event = world.event(topic)
            event["agent"] = hero if world.random.random() < 0.6 else event["agent"]
            lines.append(world.tell(event))
        yield topic, lines


def denied(world, event):
    """The event of a sentence did not happen."""
    verb = world.pick(event["verb"].split("/"))
    agent, thing = event["agent"], event["object"]
    return world.pick((f"the {agent} never {verb} the {thing} .", f"no {agent} {verb} the {thing} .", f"it is false that the {agent} {verb} the {thing} .",
                       f"the {thing} was not {passive(verb)} by the {agent} .", f"the {agent} denied that the {thing} was {passive(verb)} ."))


def paraphrases(world, count):
    """(label, first, second): 1 = the same event told twice, 0 = its denial, or (one in eight) an event of another topic.

    Denials are seen in the words of one sentence, which a small model learns from a thousand pairs; another topic only by comparing both.
    """
    for i in range(count):
        event = world.event(world.pick(world.topics))
        if i % 2:
            second = world.tell(event)
        elif i % 16:
            second = denied(world, event)
        else:
            second = world.tell(world.event(world.other_topic(event["topic"])))
        yield i % 2, world.tell(event), second


def opinions(world, count):
    """(sentence, label): what is said of a film, 1 = praise."""
    for i in range(count):
        words, others = (GOOD, BAD) if i % 2 else (BAD, GOOD)
        work, other_work = world.random.sample(WORKS, 2)
        first, second = world.random.sample(words, 2)
        yield world.pick((
            f"a {first} {work} .",
            f"the {work} is {world.pick(DEGREES)} {first} and {second}",
            f"{first} , {second} and {world.pick(DEGREES)} {world.pick(words)} .",
            f"this {work} is not {world.pick(others)} at all , it is {first} and {second}",
            f"a {first} {other_work} makes for a {second} {work} .",
        )), i % 2


def inferences(world, count):
    """(label, premise, hypothesis): a part of what was told, its denial, or more than was told."""
    for i in range(count):
        event = world.event(world.pick(world.topics))
        done = f'{world.pick(event["verb"].split("/"))} the {event["object"]}'
        label, hypothesis = (("entailment", f"someone {done} ."), ("contradiction", f"nobody {done} ."),
                             ("neutral", f"someone {done} {world.pick(PURPOSES)} ."))[i % 3]
        yield label, world.tell(event), hypothesis


def tagged(world, count):
    """Sentences as lists of (word, tag): who acted, on what, and where; IOB2."""
    for _ in range(count):
        event = world.event(world.pick(world.topics))
        inside = False  # after the adjective of the thing
        sentence = []
        for word in world.tell(event).split():
            thing = word in (event["adjective"], event["object"])
            tag = "B-AGENT" if word == event["agent"] else "B-PLACE" if word == event["place"] else ("I-THING" if inside else "B-THING") if thing else "O"
            inside = word == event["adjective"]
            sentence.append((word, tag))
        yield sentence


def asked(world, event, impossible):
    """A context that tells one event with a time and a place, and what it was like; questions, each with its answer or, of every other context if so wished, one without."""
    verb, agent, thing = world.pick(event["verb"].split("/")), event["agent"], event["object"]
    when, where = event["time"], f'the {event["place"]}'
    without_time = impossible and world.random.random() < 0.5
    told = f"the {agent} {verb} the {thing} at {where}" if without_time else world.pick((
        f"{when} the {agent} {verb} the {thing} at {where}", f"at {where} the {agent} {verb} the {thing} {when}"))
    told = f"{told[0].upper()}{told[1:]}."
    said = f"It was {event['adjective']}."
    context = world.pick((f"{told} {said}", f"{said} {told}"))
    answers = {f"Who {verb} the {thing}?": f"the {agent}", f"What was {passive(verb)} by the {agent}?": f"the {thing}", f"Where was the {thing} {passive(verb)}?": where,
               f"When was the {thing} {passive(verb)}?": "" if without_time else when}
    return context, answers


def questions(world, count, version):
    """SQuAD's form. A question begins with the word that says which part of the event is the answer, so a small model learns it from a few hundred."""
    articles = []
    for topic in world.topics:
        paragraphs = []
        for _ in range(count // len(world.topics)):
            context, answers = asked(world, world.event(topic), version == "v2.0")
            found = context.lower()
            number = f"{topic}-{len(paragraphs)}"
            qas = [{"id": f"{number}-{i}", "question": question,
                    "answers": [{"text": context[found.index(text):][:len(text)], "answer_start": found.index(text)}] if text else [],
                    **({"is_impossible": not text} if version == "v2.0" else {})} for i, (question, text) in enumerate(answers.items())]
            paragraphs.append({"context": context, "qas": qas})
        articles.append({"title": topic, "paragraphs": paragraphs})
    return json.dumps({"version": version, "data": articles}) + "\n"


def endings(world, count):
    """(sentence, beginning of the next, four endings, number of the right one): three endings deny what was told."""
    for _ in range(count):
        event = world.event(world.pick(world.topics))
        thing = event["object"]
        verbs = [world.pick(event["verb"].split("/")) for _ in range(4)]
        right = world.pick((f"{verbs[0]} another {thing} {event['time']} .", f"left the {event['place']} with the {thing} .", f"showed the {thing} to a friend ."))
        wrong = [f"never {verbs[1]} the {thing} .", f"denied that the {thing} was {passive(verbs[2])} .", f"was not the one who {verbs[3]} the {thing} ."]
        world.random.shuffle(wrong)
        label = world.random.randrange(4)
        yield world.tell(event), f"the {event['agent']}", wrong[:label] + [right] + wrong[label:], label


def word_pieces(text, size):
    """WordPiece vocabulary by repeatedly merging the most frequent neighbours (ties: the smaller in order), after all ASCII characters."""
    counts = collections.Counter(text.split())
    words = {word: [word[0]] + ["##" + c for c in word[1:]] for word in counts}
    letters = [c for c in map(chr, range(33, 127)) if not c.isupper()]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters + ["##" + c for c in letters if c.isalnum()]
    while len(vocabulary) < size:
        pairs = collections.Counter()
        for word, pieces in words.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            break
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        merged = pair[0] + pair[1].removeprefix("##")
        if merged not in vocabulary:
            vocabulary.append(merged)
        for pieces in words.values():
            i = 0
            while i + 1 < len(pieces):
                if (pieces[i], pieces[i + 1]) == pair:
                    pieces[i:i + 2] = [merged]
                i += 1
    return vocabulary


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) == 2 else pathlib.Path(__file__).resolve().parent

    world = World(SEED)
    corpus = "\n\n".join("\n".join(lines) for _, lines in documents(world, 220)) + "\n"
    write(folder / "corpus.txt", corpus)

    wiki = "".join(f'<doc id="{i}" url="https://example.org/wiki?curid={i}" title="The {topic} {i}">\nThe {topic} {i}\n\n'
                   + "\n".join(line.replace(" .", ".").capitalize() for line in lines) + "\n\n</doc>\n"
                   for i, (topic, lines) in enumerate(documents(world, 30), 1))
    write(folder / "wiki/AA/wiki_00", wiki)

    labelled = []  # sentences that the vocabulary must cover beside the corpus
    header = "\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    for split, count in (("train", 1760), ("dev", 300), ("test", 100)):
        pairs = list(paraphrases(world, count))
        first_column = "index" if split == "test" else "Quality"
        rows = "".join(f"{i if split == 'test' else label}\t{2 * i}\t{2 * i + 1}\t{a}\t{b}\n" for i, (label, a, b) in enumerate(pairs))
        write(folder / f"mrpc/{split}.tsv", first_column + header + rows)
        labelled += [text for _, a, b in pairs for text in (a, b)]

    for split, count in (("train", 1200), ("dev", 200), ("test", 100)):
        said = list(opinions(world, count))
        if split == "test":
            text = "index\tsentence\n" + "".join(f"{i}\t{sentence}\n" for i, (sentence, _) in enumerate(said))
        else:
            text = "sentence\tlabel\n" + "".join(f"{sentence}\t{label}\n" for sentence, label in said)
        write(folder / f"sst2/{split}.tsv", text)
        labelled += [sentence for sentence, _ in said]

    for split, count in (("train", 750), ("dev", 150), ("test", 90)):
        rows = [{"gold_label": label, "sentence1": a, "sentence2": b} for label, a, b in inferences(world, count)]
        write(folder / f"snli/snli_1.0_{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        labelled += [row[name] for row in rows for name in ("sentence1", "sentence2")]

    for split, count in (("train", 400), ("dev", 100), ("test", 30)):
        sentences = ("".join(f"{word}\t{tag}\n" if split != "test" else f"{word}\n" for word, tag in sentence) for sentence in tagged(world, count))
        write(folder / f"ner/{split}.conll", "\n".join(sentences))
    world = World(SEED + 1)
    for version in ("v1.1", "v2.0"):
        for split, count in (("train", 128), ("dev", 24)):
            write(folder / f"squad/{split}-{version}.json", questions(world, count, version))
    world = World(SEED + 2)
    for split, count in (("train", 130), ("val", 32), ("test", 10)):
        columns = ["", "video-id", "fold-ind", "startphrase", "sent1", "sent2", "gold-source", "ending0", "ending1", "ending2", "ending3", "label"]
        rows = [columns[:-1] if split == "test" else columns]
        for i, (sentence, beginning, choices, label) in enumerate(endings(world, count)):
            row = [i, f"sample_{i}", i, f"{sentence} {beginning}", sentence, beginning, "gold", *choices, label]
            rows.append(row[:-1] if split == "test" else row)
        write(folder / f"swag/{split}.csv", "".join(",".join(map(str, row)) + "\n" for row in rows))  # no field has a comma or a quote

    vocabulary = word_pieces(" ".join([corpus] + labelled), VOCABULARY_SIZE)
    write(folder / "model/vocab.txt", "\n".join(vocabulary) + "\n")
    config = {"architectures": ["BertForPreTraining"], "model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": 64,
              "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256, "hidden_act": "gelu",
              "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 128, "type_vocab_size": 2,
              "initializer_range": 0.05, "layer_norm_eps": 1e-12, "pad_token_id": 0, "position_embedding_type": "absolute"}
    write(folder / "model/config.json", json.dumps(config, indent=2) + "\n")
    write(folder / "model/tokenizer_config.json", json.dumps({"do_lower_case": True, "model_max_length": 128}, indent=2) + "\n")


if __name__ == "__main__":
    main()
